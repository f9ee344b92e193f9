"""Choosing elements: against NumPy, and the rules that a choice's gradient follows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds


@given(seed=seeds, layout=layouts, axis=st.integers(-3, 2), keepdims=st.booleans())
def test_extremes_and_their_places(xp, seed, layout, axis, keepdims):
    x, = distinct_values((3, 4, 5), seed=seed)
    ours = Tensor(layout(xp.asarray(x)))
    for choose, of_values, of_places in ((F.max, np.max, np.argmax), (F.min, np.min, np.argmin)):
        values, indices = choose(ours, axis, keepdims)
        np.testing.assert_array_equal(values.numpy(), of_values(x, axis, keepdims=keepdims))
        np.testing.assert_array_equal(indices.numpy(), of_places(x, axis, keepdims=keepdims))
        check_gradients(lambda x, choose=choose: choose(x, axis, keepdims)[0], layout(xp.asarray(x)), seed=seed)
    assert F.argmax(ours).item() == x.argmax()
    assert F.argmin(ours, dim=0, keepdim=True).shape == (1, 4, 5)


def test_the_first_of_equal_elements_is_chosen_and_gets_the_gradient():
    x = Tensor(np.array([[1.0, 2, 2], [3, 3, 0]], np.float32), requires_grad=True)
    values, indices = x.max(1)
    assert indices.numpy().tolist() == [1, 0]
    values.sum().backward()
    assert x.grad.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_max_of_all_and_of_two():
    x, y = Tensor(np.array([[1.0, 5]])), Tensor(np.array([[3.0, 2]]))
    assert x.max().item() == 5
    assert x.min(y).numpy().tolist() == [[1, 2]]
    assert F.max(x, np.array([[3.0, 2]])).numpy().tolist() == [[3, 5]]


@given(seed=seeds, axis=st.integers(-2, 1), descending=st.booleans())
def test_sorted(xp, seed, axis, descending):
    x = np.random.default_rng(seed).integers(0, 4, (5, 6)).astype(np.float64)
    values, indices = F.sort(Tensor(xp.asarray(x)), axis, descending)
    order = np.argsort(-x if descending else x, axis, kind="stable")
    np.testing.assert_array_equal(indices.numpy(), order)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, order, axis))
    largest, places = F.topk(Tensor(xp.asarray(x)), 3, dim=axis, largest=descending)
    np.testing.assert_array_equal(largest.numpy(), np.take_along_axis(x, order, axis).take(range(3), axis))
    np.testing.assert_array_equal(places.numpy(), order.take(range(3), axis))


@given(seed=seeds, axis=st.integers(-2, 1), rows=st.integers(0, 4))
def test_gather(xp, seed, axis, rows):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, 5))
    shape = (rows, 7) if axis in (1, -1) else (7, rows)
    index = rng.integers(0, x.shape[axis], shape)
    ours = F.gather(Tensor(xp.asarray(x)), axis, xp.asarray(index))
    expected = [[x[i, index[i, j]] if axis in (1, -1) else x[index[i, j], j] for j in range(shape[1])]
                for i in range(shape[0])]
    np.testing.assert_array_equal(ours.numpy().reshape(-1), np.array(expected).reshape(-1))
    if rows:
        check_gradients(lambda x: F.gather(x, axis, xp.asarray(index)), xp.asarray(x), seed=seed)


X = Tensor(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: F.gather(X, 1, np.array([[3]])), IndexError, "gather: index holds 3 to 3; axis 1"),
    (lambda: F.gather(X, 1, np.array([[-1]])), IndexError, "gather: index holds -1"),
    (lambda: F.gather(X, 1, np.array([0])), ValueError, "as many axes"),
    (lambda: F.gather(X, 1, np.zeros((3, 1), int)), ValueError, "no longer than x"),
    (lambda: F.gather(X, 1, np.array([[0.0]])), TypeError, "integers, not float64"),
    (lambda: F.gather(X, 2, np.array([[0]])), IndexError, "gather: axis 2"),
    (lambda: F.argmax(X, (0, 1)), ValueError, "argmax: axis"),
    (lambda: F.argmax(np.ones((0, 3)), 0), ValueError, "argmax: no elements"),
    (lambda: F.topk(X, 4), ValueError, "topk: k=4 is more than the 3"),
    (lambda: X.max(axis=0, dim=0), TypeError, "max: axis is given twice"),
    (lambda: X.split([1, 1], 1), ValueError, "split: sizes="),
    (lambda: X.split(0), ValueError, "split: sizes=0"),
    (lambda: X.chunk(0), ValueError, "chunk: chunks=0"),
    (lambda: X.repeat(2), ValueError, "repeat: sizes="),
    (lambda: X.norm(3), ValueError, "norm: p=3"),
    (lambda: X.var(0, False), TypeError, "positional"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
