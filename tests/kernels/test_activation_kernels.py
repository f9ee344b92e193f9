"""Activations over whole arrays, against plain in float64, and against PyTorch at infinities and NaN."""

import os

import numpy as np
import pytest

from minidl.kernels import plain

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu.runtime.work import CHUNK, SERIAL_SIZE
from minidl.kernels.cpu.scalar_functions import ACTIVATIONS
from minidl.kernels.plain.activation import ACTIVATIONS as PLAIN_ACTIVATIONS

SETTINGS = {"leaky_relu": (0.01,), "elu": (1.5,), "softplus": (2.0, 20.0)}
OF_OUTPUT = ("sigmoid", "tanh")
by_name = pytest.mark.parametrize("name", ACTIVATIONS)
by_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 1e-14)])


def kept_for_gradient(name, x):
    """What the gradient is computed from: the input or, for some activations, the output."""
    return plain.activation(name, x) if name in OF_OUTPUT else x


def test_cpu_and_plain_have_the_same_activations():
    assert ACTIVATIONS.keys() == PLAIN_ACTIVATIONS.keys()


@by_name
@by_dtype
@pytest.mark.parametrize("size", [101, SERIAL_SIZE, SERIAL_SIZE + 1, 3 * CHUNK + 77])
def test_values_and_gradients(name, dtype, tolerance, size):
    """Every piece of every activation, with one thread and with all, to full precision (in GELU's tail, absolute)."""
    x = np.linspace(-40, 40, size).astype(dtype)
    grad, settings = np.cos(np.arange(size)).astype(dtype), SETTINGS.get(name, ())
    exact = plain.activation(name, x.astype(float), *settings)
    out = cpu.activation(name, x, *settings)
    np.testing.assert_allclose(out, exact, rtol=tolerance, atol=tolerance if "gelu" in name else 1e-37)
    kept = kept_for_gradient(name, x)
    slopes = plain.activation_gradient(name, grad.astype(float), kept.astype(float), *settings)
    dx = cpu.activation_gradient(name, grad, kept, *settings)
    np.testing.assert_allclose(dx, slopes, rtol=0, atol=8 * tolerance)
    assert out.dtype == dx.dtype == dtype


@by_name
@by_dtype
def test_small_inputs_keep_full_precision(name, dtype, tolerance):
    x = np.concatenate([np.geomspace(1e-12, 1e-2, 1000), -np.geomspace(1e-12, 1e-2, 1000)]).astype(dtype)
    settings = SETTINGS.get(name, ())
    exact = plain.activation(name, x.astype(float), *settings)
    np.testing.assert_allclose(cpu.activation(name, x, *settings), exact, rtol=tolerance * (2 if "gelu" in name else 1))


@by_name
def test_any_memory_order(name):
    """Channels last stays channels last; slices and reversed axes are handled."""
    rng, settings = np.random.default_rng(0), SETTINGS.get(name, ())
    x, grad = rng.standard_normal((2, 3, 40, 24, 10))
    for a in (x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), np.repeat(x, 2, axis=3)[..., ::2], x[::-1]):
        kept = kept_for_gradient(name, a)
        out, dx = cpu.activation(name, a, *settings), cpu.activation_gradient(name, grad, kept, *settings)
        np.testing.assert_allclose(out, plain.activation(name, a, *settings), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dx, plain.activation_gradient(name, grad, kept, *settings), atol=1e-12)
    laid = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    assert cpu.activation(name, laid, *settings).strides == laid.strides
    assert cpu.activation_gradient(name, grad, laid, *settings).strides == laid.strides


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if "gelu" not in name])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_and_nan_as_in_pytorch(name, dtype):
    """Except GELU, whose value at infinity depends on the dtype in PyTorch: ours is infinity."""
    torch = pytest.importorskip("torch")
    x, settings = np.array([-np.inf, np.inf, np.nan, 0.0, -0.0], dtype), SETTINGS.get(name, ())
    expected = getattr(torch.nn.functional, name)(torch.from_numpy(x), *settings).numpy()
    np.testing.assert_allclose(cpu.activation(name, x, *settings), expected, atol=1e-15, rtol=1e-6)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu_at_infinity_and_nan(name):
    out = cpu.activation(name, np.array([np.inf, np.nan, 0, 1e30], np.float32))
    np.testing.assert_array_equal(out, np.array([np.inf, np.nan, 0, 1e30], np.float32))
