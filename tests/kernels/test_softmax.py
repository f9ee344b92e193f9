"""Softmax and log-softmax along any axis: cpu and plain against float64, and cpu against PyTorch."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import plain
from minidl.testing.strategies import layouts, seeds

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu

NAMES = ["softmax", "log_softmax"]
SHAPES = [(7,), (5, 3), (3, 1, 7), (2000,), (128, 10), (29, 63), (29, 64), (17, 1001), (6, 5, 9, 4), (4, 2, 40, 33),
          (2, 130, 40), (7, 6, 5, 1, 6)]
by_name = pytest.mark.parametrize("name", NAMES)
by_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])


def both(kernels, name, x, grad, axis):
    """The output, and the gradient computed from it."""
    out = getattr(kernels, name)(x, axis)
    return out, getattr(kernels, f"{name}_gradient")(grad, out, axis)


@by_name
@by_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@given(layout=layouts, of_grad=layouts, axis=st.integers(0, 4), seed=seeds)
def test_cpu_and_plain_agree(name, dtype, tolerance, shape, layout, of_grad, axis, seed):
    rng, axis = np.random.default_rng(seed), axis % len(shape)
    x, grad = (3 * rng.standard_normal((2, *shape))).astype(dtype)
    exact = both(plain, name, x.astype(float), grad.astype(float), axis)
    laid, laid_grad = layout(x), of_grad(grad)
    for kernels in (plain, cpu):
        for ours, expected in zip(both(kernels, name, laid, laid_grad, axis), exact, strict=True):
            assert ours.dtype == dtype
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * max(1, shape[axis]**0.5))
    np.testing.assert_array_equal(laid, x)
    np.testing.assert_array_equal(laid_grad, grad)


@by_name
def test_channels_last_stays_channels_last(name):
    x = np.random.default_rng(0).standard_normal((2, 20, 30, 3)).transpose(0, 3, 1, 2)
    out, dx = both(cpu, name, x, np.broadcast_to(1.0, x.shape), 1)
    assert out.strides == dx.strides == x.strides
    np.testing.assert_allclose(dx, both(plain, name, x, np.ones(x.shape), 1)[1], atol=1e-13)


@by_name
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [5, 200])         # short rows and, along axis 1, long ones
@pytest.mark.parametrize("axis", [0, 1])
def test_infinities_and_nan_as_in_pytorch(name, dtype, length, axis):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((360, length)).astype(dtype)
    inf, nan = np.inf, np.nan
    for row, (place, value) in enumerate([(0, -inf), (3, -inf), (slice(None), -inf), (0, inf), (4, inf),
                                          (slice(None), inf), (0, nan), (2, nan)]):
        x[row, place] = value
    x = x if axis == 1 else np.ascontiguousarray(x.T)
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch, name)(theirs, axis)
    grad = np.ones(x.shape, dtype)
    expected.backward(torch.from_numpy(grad))
    out, dx = both(cpu, name, x, grad, axis)
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(dx, theirs.grad.numpy(), rtol=1e-5, atol=1e-5)


@by_name
@by_dtype
def test_scores_far_apart(name, dtype, tolerance):
    """Nothing overflows, and the logarithm stays exact where the probability is 0."""
    for length in (5, 100):
        x = np.linspace(-1e4, 1e4, length).astype(dtype)[None]
        expected = {"softmax": np.arange(length) == length - 1, "log_softmax": x[0] - x[0, -1]}[name]
        np.testing.assert_allclose(getattr(cpu, name)(x, 1)[0], expected, rtol=tolerance, atol=1e-80)


@by_name
def test_empty_rows_and_no_rows(name):
    for shape in ((0, 3), (0, 100), (2, 0, 4)):
        out, dx = both(cpu, name, np.ones(shape), np.ones(shape), 1)
        assert out.shape == dx.shape == shape
