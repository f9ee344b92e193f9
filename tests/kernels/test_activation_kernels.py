"""Activations run over arrays by all threads, against the plain way in doubles, and PyTorch where x has no bounds."""

import numpy as np
import pytest
from test_plain import WAYS

from minidl.kernels import plain

if "cpu" not in WAYS:
    pytest.skip("the fast kernels need Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu.activation import CHUNK, FEW
from minidl.kernels.cpu.scalar_functions import CURVES
from minidl.kernels.plain import activation

SETTINGS = {"leaky_relu": (0.01,), "elu": (1.5,), "softplus": (2.0, 20.0)}
OF_OUTPUT = ("sigmoid", "tanh")
by_name = pytest.mark.parametrize("name", CURVES)
by_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 1e-14)])


def point(name, x):
    """Where the gradient is asked for: the input, or the output of those that want that."""
    return plain.activation(name, x) if name in OF_OUTPUT else x


def test_both_ways_know_the_same_activations():
    assert CURVES.keys() == activation.CURVES.keys()


@by_name
@by_dtype
@pytest.mark.parametrize("size", [101, FEW, FEW + 1, 3 * CHUNK + 77])
def test_values_and_gradients(name, dtype, tolerance, size):
    """Every piece of every activation, with one thread and with all; digits are lost nowhere, but far out in GELU."""
    x = np.linspace(-40, 40, size).astype(dtype)
    grad, settings = np.cos(np.arange(size)).astype(dtype), SETTINGS.get(name, ())
    exact = plain.activation(name, x.astype(float), *settings)
    out = cpu.activation(name, x, *settings)
    np.testing.assert_allclose(out, exact, rtol=tolerance, atol=tolerance if "gelu" in name else 1e-37)
    kept = point(name, x)
    slopes = plain.activation_gradient(name, grad.astype(float), kept.astype(float), *settings)
    dx = cpu.activation_gradient(name, grad, kept, *settings)
    np.testing.assert_allclose(dx, slopes, rtol=0, atol=8 * tolerance)
    assert out.dtype == dx.dtype == dtype


@by_name
@by_dtype
def test_small_numbers_keep_their_digits(name, dtype, tolerance):
    x = np.concatenate([np.geomspace(1e-12, 1e-2, 1000), -np.geomspace(1e-12, 1e-2, 1000)]).astype(dtype)
    settings = SETTINGS.get(name, ())
    exact = plain.activation(name, x.astype(float), *settings)
    np.testing.assert_allclose(cpu.activation(name, x, *settings), exact, rtol=tolerance * (2 if "gelu" in name else 1))


@by_name
def test_any_order_of_memory(name):
    """Channels last stays channels last; slices and reversed axes are right too."""
    rng, settings = np.random.default_rng(0), SETTINGS.get(name, ())
    x, grad = rng.standard_normal((2, 3, 40, 24, 10))
    for a in (x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), np.repeat(x, 2, axis=3)[..., ::2], x[::-1]):
        out, dx = cpu.activation(name, a, *settings), cpu.activation_gradient(name, grad, point(name, a), *settings)
        np.testing.assert_allclose(out, plain.activation(name, a, *settings), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dx, plain.activation_gradient(name, grad, point(name, a), *settings), atol=1e-12)
    laid = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    assert cpu.activation(name, laid, *settings).strides == laid.strides
    assert cpu.activation_gradient(name, grad, laid, *settings).strides == laid.strides


@pytest.mark.parametrize("name", [name for name in CURVES if "gelu" not in name])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_and_nan_as_in_pytorch(name, dtype):
    """But for GELU, where PyTorch's answer to infinity depends on the dtype: ours is infinity."""
    torch = pytest.importorskip("torch")
    x, settings = np.array([-np.inf, np.inf, np.nan, 0.0, -0.0], dtype), SETTINGS.get(name, ())
    expected = getattr(torch.nn.functional, name)(torch.from_numpy(x), *settings).numpy()
    np.testing.assert_allclose(cpu.activation(name, x, *settings), expected, atol=1e-15, rtol=1e-6)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu_without_bounds(name):
    out = cpu.activation(name, np.array([np.inf, np.nan, 0, 1e30], np.float32))
    np.testing.assert_array_equal(out, np.array([np.inf, np.nan, 0, 1e30], np.float32))
