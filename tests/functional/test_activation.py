"""Activations against their formulas, finite differences, extreme and bad input."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor, manual_seed
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes

FORMULAS = {
    F.relu: lambda x: x if x > 0 else 0.0,
    F.leaky_relu: lambda x: x if x > 0 else 0.01 * x,
    F.sigmoid: lambda x: 1 / (1 + math.exp(-x)),
    F.tanh: math.tanh,
}
ALONG_AN_AXIS = [F.softmax, F.log_softmax]
by_name = pytest.mark.parametrize("activation", FORMULAS, ids=lambda f: f.__name__)


@st.composite
def shapes_and_axes(draw):
    """A shape and one of its axes."""
    shape = draw(shapes(min_dims=1))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@by_name
@given(shape=shapes(), layout=layouts, seed=seeds)
def test_forward(xp, activation, shape, layout, seed):
    x = 5 * distinct_values(shape, seed=seed)[0]
    expected = np.vectorize(FORMULAS[activation], otypes=[float])(x)
    np.testing.assert_allclose(activation(layout(xp.asarray(x))).numpy(), expected, rtol=1e-12)


@by_name
@given(shape=shapes(), layout=layouts, seed=seeds)
def test_gradients(xp, activation, shape, layout, seed):
    x, = distinct_values(shape, seed=seed)
    check_gradients(activation, layout(xp.asarray(x)), seed=seed)


@pytest.mark.parametrize("activation", ALONG_AN_AXIS)
@given(case=shapes_and_axes(), layout=layouts, seed=seeds)
def test_softmax_forward(xp, activation, case, layout, seed):
    shape, axis = case
    x, = distinct_values(shape, seed=seed)
    expected = np.apply_along_axis(lambda row: [math.exp(v) / sum(map(math.exp, row)) for v in row], axis, x)
    expected = np.log(expected) if activation is F.log_softmax else expected
    np.testing.assert_allclose(activation(layout(xp.asarray(x)), axis).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("activation", ALONG_AN_AXIS)
@given(case=shapes_and_axes(), layout=layouts, seed=seeds)
def test_softmax_gradients(xp, activation, case, layout, seed):
    shape, axis = case
    x, = distinct_values(shape, seed=seed)
    check_gradients(partial(activation, axis=axis), layout(xp.asarray(x)), seed=seed)


@given(shape=shapes(), slope=st.floats(-2, 2, allow_subnormal=False), seed=seeds)
def test_leaky_relu_with_another_slope(xp, shape, slope, seed):
    x, = distinct_values(shape, seed=seed)
    leaky = partial(F.leaky_relu, negative_slope=slope)
    np.testing.assert_allclose(leaky(xp.asarray(x)).numpy(), np.where(x > 0, x, slope * x))
    check_gradients(leaky, xp.asarray(x), seed=seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_numbers_do_not_overflow(xp, dtype):
    x = xp.asarray(np.array([-1e4, -100, 0, 100, 1e4], dtype))
    assert F.sigmoid(x).numpy().tolist() == [0, pytest.approx(math.exp(-100), rel=1e-5), 0.5, 1, 1]
    assert F.tanh(x).numpy().tolist() == [-1, -1, 0, 1, 1]
    assert F.softmax(x).numpy().tolist() == [0, 0, 0, 0, 1]
    assert F.log_softmax(x).numpy().tolist() == [-2e4, -10100, -1e4, -9900, 0]
    assert all(f(x).dtype == dtype for f in [*FORMULAS, *ALONG_AN_AXIS])


@by_name
def test_nan_stays_nan(xp, activation):
    x = Tensor(xp.asarray(np.array([math.nan, 1.0])), requires_grad=True)
    assert np.isnan(activation(x).numpy()).tolist() == [True, False]


@pytest.mark.parametrize("activation", [*FORMULAS, *ALONG_AN_AXIS], ids=lambda f: f.__name__)
def test_an_empty_batch(xp, activation):
    x = Tensor(xp.ones((0, 3)), requires_grad=True)
    activation(x).sum().backward()
    assert x.grad.shape == (0, 3)


def test_dropout_scales_what_it_keeps(xp):
    manual_seed(0)
    x = Tensor(xp.ones((100, 100), dtype=xp.float32), requires_grad=True)
    out = F.dropout(x, 0.25)
    kept = out.numpy() != 0
    assert 0.73 < kept.mean() < 0.77
    np.testing.assert_allclose(out.numpy(), np.where(kept, 1 / 0.75, 0), rtol=1e-6)
    out.sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), out.numpy())      # the same ones, by the same factor
    assert out.dtype == x.grad.dtype == np.float32


@given(shape=shapes(), p=st.floats(0, 0.9), layout=layouts, seed=seeds)
def test_dropout_gradients(xp, shape, p, layout, seed):
    def same_each_time(x):
        manual_seed(seed)
        return F.dropout(x, p)

    x, = distinct_values(shape, seed=seed)
    check_gradients(same_each_time, layout(xp.asarray(x)), seed=seed)


def test_dropout_draws_anew_each_time_and_the_same_from_the_same_seed(xp):
    x = xp.ones(1000)
    manual_seed(1)
    first, second = F.dropout(x).numpy(), F.dropout(x).numpy()
    manual_seed(1)
    assert (first != second).any()
    np.testing.assert_array_equal(F.dropout(x).numpy(), first)


@pytest.mark.parametrize("settings", [{"training": False}, {"p": 0}])
def test_dropout_that_drops_nothing(xp, settings):
    x, = distinct_values((3, 4), seed=0)
    np.testing.assert_array_equal(F.dropout(xp.asarray(x), **settings).numpy(), x)
    check_gradients(partial(F.dropout, **settings), xp.asarray(x))


@pytest.mark.parametrize("p", [-0.1, 1, 2, math.nan])
def test_dropout_of_no_probability(p):
    with pytest.raises(ValueError, match=rf"^dropout: p={p} is not a probability"):
        F.dropout(np.ones(3), p)


@pytest.mark.parametrize("activation", ALONG_AN_AXIS)
@pytest.mark.parametrize(("axis", "error"), [(2, IndexError), (-3, IndexError), (1.0, IndexError)])
def test_bad_axes(activation, axis, error):
    with pytest.raises(error, match=rf"^{activation.__name__}: axis {axis} of a tensor of shape \(2, 3\)"):
        activation(np.ones((2, 3)), axis)
