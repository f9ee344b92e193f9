"""Reductions against Python's, row by row, finite differences and bad input."""

import math
import statistics
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, reductions, seeds

FORMULAS = {
    F.sum: math.fsum,
    F.mean: statistics.fmean,
    F.amax: max,
    F.amin: min,
    F.logsumexp: lambda row: math.log(math.fsum(map(math.exp, row))),
}
REDUCTIONS = [*FORMULAS, partial(F.var, correction=0)]
each = pytest.mark.parametrize("function", FORMULAS, ids=lambda f: f.__name__)


def row_by_row(formula, x, axis, keepdims):
    """`formula` applied to the list of elements that each result reduces."""
    axes = range(x.ndim) if axis is None else [i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
    kept = [i for i in range(x.ndim) if i not in axes]
    shape = tuple(x.shape[i] for i in kept)
    rows = x.transpose(*kept, *axes).reshape(math.prod(shape), -1).tolist()
    out = np.array([formula(row) for row in rows]).reshape(shape)
    return np.expand_dims(out, tuple(axes)) if keepdims else out


def count(case):
    """The number of elements that each result reduces."""
    counts = row_by_row(len, np.zeros(case.shape), **case.settings)
    return int(counts.flat[0])


@each
@given(case=reductions(), layout=layouts, seed=seeds)
def test_forward(xp, function, case, layout, seed):
    x, = distinct_values(case.shape, seed=seed)
    out = function(layout(xp.asarray(x)), **case.settings)
    np.testing.assert_allclose(out.numpy(), row_by_row(FORMULAS[function], x, **case.settings), rtol=1e-12, atol=1e-14)


@each
@given(case=reductions(), layout=layouts, seed=seeds)
def test_gradients(xp, function, case, layout, seed):
    x, = distinct_values(case.shape, seed=seed)
    check_gradients(partial(function, **case.settings), layout(xp.asarray(x)), seed=seed)


@given(case=reductions(), layout=layouts, seed=seeds, less=st.integers(0, 2))
def test_var(xp, case, layout, seed, less):
    """With any correction that leaves a positive divisor."""
    x, = distinct_values(case.shape, seed=seed)
    n = count(case)
    correction = min(less, n - 1)
    var = partial(F.var, correction=correction, **case.settings)
    expected = row_by_row(statistics.pvariance, x, **case.settings) * n / (n - correction)
    np.testing.assert_allclose(var(layout(xp.asarray(x))).numpy(), expected, rtol=1e-12, atol=1e-14)
    check_gradients(var, layout(xp.asarray(x)), seed=seed)


def test_var_is_unbiased_by_default(xp):
    assert F.var(xp.asarray(np.array([1.0, 2, 3, 4]))).item() == pytest.approx(statistics.variance([1, 2, 3, 4]))


@pytest.mark.parametrize("function", [F.amax, F.amin])
def test_equal_extremes_share_the_gradient(xp, function):
    x = Tensor(xp.asarray(np.array([[1.0, 1, 1], [1, 1, 1]])), requires_grad=True)
    function(x, 1).backward(xp.asarray(np.array([3.0, 6])))
    assert Tensor(x.grad).numpy().tolist() == [[1, 1, 1], [2, 2, 2]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logsumexp_does_not_overflow(xp, dtype):
    x = Tensor(xp.asarray(np.array([[1e4, 0], [-1e4, -1e4], [-math.inf, 2]], dtype)), requires_grad=True)
    out = F.logsumexp(x, 1)
    np.testing.assert_allclose(out.numpy(), np.array([1e4, math.log(2) - 1e4, 2], dtype))
    out.sum().backward()
    np.testing.assert_allclose(Tensor(x.grad).numpy(), [[1, 0], [0.5, 0.5], [0, 1]], rtol=1e-3)
    with np.errstate(divide="ignore"):
        assert F.logsumexp(xp.full(3, -math.inf)).item() == -math.inf


def test_nan_propagates(xp):
    x = xp.asarray(np.array([[math.nan, 1.0], [2, 3]]))
    for function in REDUCTIONS:
        assert np.isnan(function(x, axis=1).numpy()).tolist() == [True, False]


def test_sums_of_whole_numbers_and_booleans(xp):
    assert F.sum(xp.ones((2, 3), dtype=xp.int32)).item() == 6
    assert F.sum(xp.ones((2, 3)) > 0, 0).numpy().tolist() == [2, 2, 2]
    assert F.sum(xp.ones((2, 3), dtype=xp.uint8)).dtype == np.int64


@pytest.mark.parametrize("function", [F.sum, F.amax, F.amin, F.logsumexp])
def test_empty_results(xp, function):
    x = Tensor(xp.ones((0, 3)), requires_grad=True)
    out = function(x, axis=1)
    assert out.shape == (0,)
    out.backward(xp.ones(0))
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("keepdims", [False, True])
def test_mean_of_images(xp, keepdims):
    """Over all pixels, which is computed by a pooling kernel."""
    x, = distinct_values((2, 37, 5, 7), seed=0)
    out = F.mean(xp.asarray(x), (2, 3), keepdims)
    np.testing.assert_allclose(out.numpy(), x.mean((2, 3), keepdims=keepdims), rtol=1e-12, atol=1e-12)
    check_gradients(lambda x: F.mean(x, (2, 3), keepdims), xp.asarray(x))


def test_reducing_no_elements(xp):
    empty = xp.ones((2, 0))
    assert F.sum(empty, axis=1).numpy().tolist() == [0, 0]
    for function in (F.mean, F.amax, F.amin, F.logsumexp, F.var):
        with pytest.raises(ValueError, match=rf"^{function.__name__}: .*\(2, 0\)"):
            function(empty, axis=1)


def test_too_few_for_the_correction():
    with pytest.raises(ValueError, match=r"^var: 1 elements are too few for correction=1"):
        F.var(np.ones((3, 1)), axis=1)


@each
@pytest.mark.parametrize("axis", [2, -3, (0, 5), 0.5, "rows"])
def test_axes_that_do_not_exist(function, axis):
    with pytest.raises(IndexError, match=rf"^{function.__name__}: axis .* of a tensor of shape \(2, 3\)"):
        function(np.ones((2, 3)), axis=axis)


@each
def test_an_axis_named_twice(function):
    with pytest.raises(ValueError, match=rf"^{function.__name__}: axis \(1, -1\) names an axis twice"):
        function(np.ones((2, 3)), axis=(1, -1))
