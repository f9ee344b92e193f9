"""Tests of the exercises of chapter 2."""

import weakref

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients


@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 4), (4,), (1,), (), (1, 3, 4), (2, 1, 4), (1, 1, 1), (3, 1)])
def test_unbroadcast_sums_what_broadcasting_repeats(exercise, shape):
    grad = np.random.default_rng(0).standard_normal((2, 3, 4))
    before = grad.copy()
    found = exercise.unbroadcast(grad, shape)
    assert found.shape == shape
    assert np.array_equal(grad, before)
    direction = np.random.default_rng(1).standard_normal(shape)
    assert (found * direction).sum() == pytest.approx((grad * np.broadcast_to(direction, grad.shape)).sum())


@pytest.mark.parametrize("shape", [(3,), (4, 3, 2), (24,), (1, 2, 3, 4), (2, 2, 4)])
def test_unbroadcast_refuses_other_shapes(exercise, shape):
    with pytest.raises(ValueError, match=r"\w"):
        exercise.unbroadcast(np.ones((2, 3, 4)), shape)


def leaves(*shapes):
    rng = np.random.default_rng(0)
    return [Tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


def test_gradients_are_those_of_backward(exercise):
    x, w, b = leaves((4, 3), (3, 2), (2,))
    hidden = F.tanh(x @ w + b)
    out = (hidden * hidden + b * 2).sum()
    found = exercise.gradients(out, [x, w, b, hidden])
    assert [t.grad for t in (x, w, b)] == [None] * 3
    hidden.retain_grad()
    out.backward()
    for gradient, tensor in zip(found, (x, w, b, hidden), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-12)


def test_gradients_add_the_paths_and_change_nothing(exercise):
    x, y, unused = leaves((3,), (3,), (2, 2))
    z = x + y
    for _ in range(20):                                    # 2**20 paths
        z = z + z
    for _ in range(2):                                     # the second call finds the graph as the first did
        by_x, by_y, by_unused = exercise.gradients(z, [x, y, unused])
        assert by_x.tolist() == by_y.tolist() == [2.0**20] * 3
        assert by_unused.tolist() == [[0, 0], [0, 0]]


def test_unit_rows_is_right(exercise):
    rng = np.random.default_rng(0)
    for shape in ((4, 3), (5,), (2, 3, 4)):
        x = rng.standard_normal(shape) + 0.5
        np.testing.assert_allclose(exercise.unit_rows(Tensor(x)).data, x / np.linalg.norm(x, axis=-1, keepdims=True))
        check_gradients(exercise.unit_rows, x)


def test_unit_rows_does_not_keep_its_input(exercise):
    x, = leaves((4, 3))
    hidden = x + 1
    watched = weakref.ref(hidden.data)
    out = exercise.unit_rows(hidden)
    del hidden
    assert watched() is None, "backward refers to x, or to an array that is a view of it"
    out.sum().backward()
    assert x.grad.shape == (4, 3)
