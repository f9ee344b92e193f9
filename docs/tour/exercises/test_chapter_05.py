"""How far you are with the exercises of chapter 5."""

from functools import partial

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def gradient(function, x, cotangent):
    x = Tensor(x, requires_grad=True)
    function(x).backward(cotangent)
    return x.grad


def test_fair_max_pool_has_the_maxima_and_their_gradient(exercise, rng):
    x, grad = rng.standard_normal((2, 3, 6, 8)), rng.standard_normal((2, 3, 3, 4))
    expected = partial(F.max_pool2d, kernel_size=2)
    np.testing.assert_array_equal(exercise.fair_max_pool(Tensor(x)).data, expected(Tensor(x)).data)
    np.testing.assert_allclose(gradient(exercise.fair_max_pool, x, grad), gradient(expected, x, grad))
    check_gradients(exercise.fair_max_pool, x)


def test_fair_max_pool_shares_among_equals(exercise):
    x = np.array([[[[3.0, 3.0, 0.0, 0.0], [1.0, 3.0, 0.0, 0.0]]]])
    grad = np.array([[[[6.0, 8.0]]]])
    np.testing.assert_allclose(gradient(exercise.fair_max_pool, x, grad), [[[[2, 2, 2, 2], [0, 2, 2, 2]]]])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_smoothed_cross_entropy(exercise, rng, smoothing):
    logits, target = 3 * rng.standard_normal((6, 5)), rng.integers(0, 5, 6)
    expected = F.cross_entropy(Tensor(logits), target, label_smoothing=smoothing).item()
    loss = exercise.smoothed_cross_entropy(Tensor(logits), target, smoothing=smoothing)
    assert loss.item() == pytest.approx(expected)
    check_gradients(lambda z: exercise.smoothed_cross_entropy(z, target, smoothing=smoothing), logits)


def test_smoothed_cross_entropy_of_large_logits(exercise):
    logits = Tensor(np.array([[1000.0, 0.0], [0.0, -1000.0]]), requires_grad=True)
    loss = exercise.smoothed_cross_entropy(logits, np.array([0, 1]), smoothing=0.0)
    loss.backward()
    assert loss.item() == pytest.approx(500)
    np.testing.assert_allclose(logits.grad, [[0, 0], [0.5, -0.5]], atol=1e-12)


def test_layer_norm(exercise, rng):
    x, weight, bias = 5 + 2 * rng.standard_normal((4, 7)), rng.standard_normal(7), rng.standard_normal(7)
    expected = F.layer_norm(Tensor(x), 7, Tensor(weight), Tensor(bias))
    np.testing.assert_allclose(exercise.layer_norm(*map(Tensor, (x, weight, bias))).data, expected.data)
    check_gradients(exercise.layer_norm, x, weight, bias)
