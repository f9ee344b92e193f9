"""Tests of the exercises of chapter 3."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor
from minidl.tensor import op
from minidl.testing import check_gradients


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 1), (5, 3)])
def test_cosine(exercise, shape):
    a, b = np.random.default_rng(0).standard_normal((2, *shape))
    expected = [x @ y / np.sqrt(x @ x * (y @ y)) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(exercise.cosine(Tensor(a), Tensor(b)).data, expected)
    check_gradients(exercise.cosine, a, b)


def test_cosine_computes_a_gradient_only_if_it_is_needed(exercise):
    a, b = (Tensor(x, requires_grad=True) for x in np.random.default_rng(0).standard_normal((2, 3, 2)))
    by_a, by_b = exercise.cosine(a, b).node.backward(np.ones(3))
    assert callable(by_a)
    assert callable(by_b)


rng = np.random.default_rng(0)
MATRIX, SQUARE, VECTOR = rng.standard_normal((4, 3)), rng.standard_normal((3, 3)), rng.standard_normal(3)


@pytest.mark.parametrize(("function", "arrays"), [
    (F.softmax, [VECTOR]),
    (F.matmul, [MATRIX, SQUARE]),
    (lambda x, w, b: F.tanh(x @ w + b), [MATRIX, SQUARE, VECTOR]),
    (lambda x: (x * x).sum(), [MATRIX]),
])
def test_right_operations_are_accepted(exercise, function, arrays):
    before = [array.copy() for array in arrays]
    assert exercise.is_right(function, *arrays)
    assert all(map(np.array_equal, arrays, before))


def wrong(forward, *gradients):
    """An op whose gradients of its inputs are given as functions of `grad` and the inputs."""
    @op
    def wrong(a, b=None, /):
        inputs = (a,) if b is None else (a, b)
        return forward(*inputs), lambda grad: tuple(gradient(grad, *inputs) for gradient in gradients)
    return wrong


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize(("function", "arrays"), [
    pytest.param(wrong(np.tanh, lambda grad, x: -grad * (1 - np.tanh(x) ** 2)), [MATRIX], id="sign"),
    pytest.param(wrong(softmax, lambda grad, x: 0 * x), [VECTOR], id="right under all ones"),
    pytest.param(wrong(np.tanh, lambda grad, x: 1 - np.tanh(x) ** 2), [MATRIX], id="ignores grad"),
    pytest.param(wrong(np.multiply, lambda grad, a, b: grad * b, lambda grad, a, b: grad * b), [MATRIX, MATRIX + 1],
                 id="the second input"),
    pytest.param(wrong(lambda x: x @ SQUARE, lambda grad, x: grad @ SQUARE), [MATRIX], id="transposed"),
    pytest.param(wrong(np.abs, lambda grad, x: grad * np.nan), [MATRIX], id="NaN"),
    pytest.param(wrong(np.square, lambda grad, x: 2 * grad * x * (1 + 1e-3 * (np.arange(3) == 1))), [VECTOR],
                 id="one element, by a thousandth"),
    pytest.param(wrong(np.add, lambda grad, a, b: grad, lambda grad, a, b: None), [MATRIX, MATRIX], id="missing"),
])
def test_wrong_operations_are_refused(exercise, function, arrays):
    assert not exercise.is_right(function, *arrays)


@pytest.mark.parametrize(("fails", "shape", "expected"), [
    (lambda shape: len(shape) >= 2 and shape[-1] >= 3, (5, 7, 4), (1, 3)),
    (lambda shape: True, (6, 5), (1,)),
    (lambda shape: len(shape) == 2 and shape[1] > 1, (7, 9), (1, 2)),
    (lambda shape: len(shape) == 2 and shape[0] >= 13 and shape[1] >= 700, (1000, 1000), (13, 700)),
])
def test_smallest(exercise, fails, shape, expected):
    calls = []

    def counted(shape):
        assert all(n >= 1 for n in shape)
        calls.append(shape)
        return fails(shape)
    assert exercise.smallest(counted, shape) == expected
    assert len(calls) < 200


def test_smallest_is_minimal(exercise):
    def fails(shape):
        return np.prod(shape) > 20

    found = exercise.smallest(fails, (4, 9, 6))
    assert fails(found)
    axes = range(len(found))
    assert not any(fails(found[:i] + found[i + 1:]) for i in axes if len(found) > 1)
    assert not any(fails((*found[:i], found[i] - 1, *found[i + 1:])) for i in axes if found[i] > 1)
