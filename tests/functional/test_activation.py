"""Activations against their formulas, finite differences, extreme and bad input."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.kernels.plain.activation import normal_cdf
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes

FORMULAS = {
    F.relu: lambda x: x if x > 0 else 0.0,
    F.relu6: lambda x: min(max(x, 0.0), 6.0),
    F.leaky_relu: lambda x: x if x > 0 else 0.01 * x,
    F.elu: lambda x: x if x > 0 else math.exp(x) - 1,
    F.gelu: lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)),
    F.silu: lambda x: x / (1 + math.exp(-x)),
    F.hardswish: lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    F.softplus: lambda x: math.log(1 + math.exp(x)),
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
    x = 8 * distinct_values(shape, seed=seed)[0]
    expected = np.vectorize(FORMULAS[activation], otypes=[float])(x)
    np.testing.assert_allclose(activation(layout(xp.asarray(x))).numpy(), expected, rtol=1e-12, atol=1e-14)


@by_name
@given(shape=shapes(), layout=layouts, seed=seeds)
def test_gradients(xp, activation, shape, layout, seed):
    """x covers every piece of every activation and avoids the kinks, which lie at integers."""
    x, = distinct_values(shape, seed=seed)
    x = 8 * x + 0.01
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


@given(shape=shapes(), ceiling=st.floats(0.1, 9), seed=seeds)
def test_relu_with_a_ceiling(xp, shape, ceiling, seed):
    x = 8 * distinct_values(shape, seed=seed)[0]
    capped = partial(F.relu, ceiling=ceiling)
    np.testing.assert_array_equal(capped(xp.asarray(x)).numpy(), np.clip(x, 0, ceiling))
    check_gradients(capped, xp.asarray(np.where(abs(x - ceiling) < 0.01, 0.05, x)), seed=seed)


def check_variant(activation, formula, xp, x, seed):
    """Check an activation with settings other than its defaults."""
    expected = np.vectorize(formula, otypes=[float])(x)
    np.testing.assert_allclose(activation(xp.asarray(x)).numpy(), expected, rtol=1e-12, atol=1e-14)
    check_gradients(activation, xp.asarray(x), seed=seed)


@given(shape=shapes(), alpha=st.floats(-2, 2, allow_subnormal=False), seed=seeds)
def test_elu_with_another_alpha(xp, shape, alpha, seed):
    x = 3 * distinct_values(shape, seed=seed)[0]
    check_variant(partial(F.elu, alpha=alpha), lambda v: v if v > 0 else alpha * math.expm1(v), xp, x, seed)


@given(shape=shapes(), seed=seeds)
def test_gelu_by_tanh(xp, shape, seed):
    x = 5 * distinct_values(shape, seed=seed)[0]
    check_variant(partial(F.gelu, approximate="tanh"),
                  lambda v: v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))), xp, x, seed)


@given(shape=shapes(), beta=st.floats(0.5, 3), threshold=st.integers(-2, 40), seed=seeds)
def test_softplus_with_other_settings(xp, shape, beta, threshold, seed):
    """x avoids the threshold, at which softplus has a small step, as PyTorch's has."""
    x = 8 * distinct_values(shape, seed=seed)[0]
    x = np.where(abs(beta * x - threshold) < 1e-3, x + 0.01, x)
    check_variant(partial(F.softplus, beta=beta, threshold=threshold),
                  lambda v: v if beta * v > threshold else math.log(1 + math.exp(beta * v)) / beta, xp, x, seed)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-7), ("float64", 1e-14)])
def test_the_normal_distribution_of_gelu(dtype, tolerance):
    """Over its whole range, with a small relative error even far below zero."""
    x = np.linspace(-12, 12, 4801).astype(dtype)
    exact = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    np.testing.assert_allclose(normal_cdf(x), exact, rtol=100 * tolerance, atol=0)
    np.testing.assert_allclose(normal_cdf(x), exact, rtol=0, atol=tolerance)


def check_against_torch(torch, name, x, settings):
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = getattr(F, name)(ours, **settings), getattr(torch.nn.functional, name)(theirs, **settings)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "settings"), [
    ("relu6", {}), ("elu", {}), ("elu", {"alpha": 0.5}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {}),
    ("hardswish", {}), ("softplus", {}), ("softplus", {"beta": 3, "threshold": 4}), ("leaky_relu", {}),
])
def test_torch_agrees(name, settings):
    """At the kinks and far from zero, too."""
    torch = pytest.importorskip("torch")
    check_against_torch(torch, name, np.array([-1e4, -50, -6, -3, -1, 0, 1, 3, 6, 50, 1e4], np.float32), settings)
    check_against_torch(torch, name, np.linspace(-9, 9, 200).astype(np.float32), settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_numbers_do_not_overflow(xp, dtype):
    x = xp.asarray(np.array([-1e4, -100, 0, 100, 1e4], dtype))
    assert F.sigmoid(x).numpy().tolist() == [0, pytest.approx(math.exp(-100), rel=1e-5), 0.5, 1, 1]
    assert F.tanh(x).numpy().tolist() == [-1, -1, 0, 1, 1]
    assert F.softmax(x).numpy().tolist() == [0, 0, 0, 0, 1]
    for identity_above in (F.elu, F.gelu, F.silu, F.hardswish, F.softplus):
        assert identity_above(x).numpy()[-2:].tolist() == [100, 1e4]
    assert F.elu(x).numpy()[:2].tolist() == [-1, -1]
    assert F.hardswish(x).numpy()[:2].tolist() == F.softplus(x).numpy()[:1].tolist() * 2 == [0, 0]
    assert abs(F.silu(x).numpy()[:2]).max() < 1e-40
    assert F.log_softmax(x).numpy().tolist() == [-2e4, -10100, -1e4, -9900, 0]
    assert all(f(x).dtype == dtype for f in [*FORMULAS, *ALONG_AN_AXIS])


@by_name
def test_nan_stays_nan(xp, activation):
    x = Tensor(xp.asarray(np.array([math.nan, 1.0])), requires_grad=True)
    assert np.isnan(activation(x).numpy()).tolist() == [True, False]


@pytest.mark.parametrize("function", [F.tanh, F.elu, F.silu, F.gelu], ids=lambda f: f.__name__)
def test_zero_stays_zero_without_a_sign(xp, function):
    for dtype in (np.float32, np.float64):
        assert not np.signbit(function(Tensor(xp.zeros(40, dtype))).numpy()).any()


@pytest.mark.parametrize("activation", [*FORMULAS, *ALONG_AN_AXIS], ids=lambda f: f.__name__)
def test_an_empty_batch(xp, activation):
    x = Tensor(xp.ones((0, 3)), requires_grad=True)
    activation(x).sum().backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("activation", ALONG_AN_AXIS)
@pytest.mark.parametrize(("axis", "error"), [(2, IndexError), (-3, IndexError), (1.0, IndexError)])
def test_bad_axes(activation, axis, error):
    with pytest.raises(error, match=rf"^{activation.__name__}: axis {axis} of a tensor of shape \(2, 3\)"):
        activation(np.ones((2, 3)), axis)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: F.gelu(x, approximate="erf"), r"gelu: approximate='erf' is neither 'none' nor 'tanh'"),
    (lambda x: F.elu(x, alpha=math.inf), r"elu: alpha=inf must be a finite number"),
    (lambda x: F.relu(x, ceiling=0), r"relu: ceiling=0 must be larger than 0"),
    (lambda x: F.relu(x, ceiling=math.inf), r"relu: ceiling=inf must be a finite number"),
    (lambda x: F.leaky_relu(x, negative_slope="0.1"), r"leaky_relu: negative_slope='0\.1' must be a finite number"),
    (lambda x: F.softplus(x, beta=0), r"softplus: beta=0 would divide by zero"),
    (lambda x: F.softplus(x, beta=math.nan), r"softplus: beta=nan must be a finite number"),
    (lambda x: F.softplus(x, threshold=None), r"softplus: threshold=None must be a finite number"),
])
def test_bad_settings(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call(np.ones(3))
