"""The dtype of a result for inputs of several dtypes: PyTorch's, for all pairs."""

import itertools

import numpy as np
import pytest
import strict_array

import minidl.functional as F
from minidl import Tensor
from minidl.functional.promotion import in_common_dtype, promoted

DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
NUMBERS = [True, 2, 2.5]
FUNCTIONS = ["add", "sub", "mul", "div", "pow", "maximum", "minimum"]


@pytest.mark.parametrize(("inputs", "dtype"), [
    ((np.ones(2, "f4"), np.ones(2, "i8")), "f4"), ((np.ones(2, "u1"), np.ones(2, "f4")), "f4"),
    ((np.ones(2, "f4"), np.ones(2, "f8")), "f8"), ((np.ones(2, "f4"), np.ones((), "f8")), "f4"),
    ((np.ones((), "f4"), np.ones((), "f8")), "f8"), ((np.ones(2, "i8"), np.ones((), "f8")), "f8"),
    ((np.ones(2, "i8"), np.ones((), "f4")), "f4"), ((np.ones(2, "u1"), np.ones((), "i8")), "u1"),
    ((np.ones(2, "u1"), np.ones(2, "i1")), "i2"), ((np.ones(2, "i4"), 2.5), "f4"), ((2, np.ones(2, "i4")), "i4"),
    ((np.ones(2, bool), 2), "i8"), ((np.ones(2, bool), True), "?"), ((np.ones(2, "f8"), 2.5), "f8"),
    ((np.ones(2, "i8"), np.ones(2, "f4"), np.ones((), "f8")), "f4"),
])  # fmt: skip
@pytest.mark.parametrize("xp", [np, strict_array], ids=["numpy", "strict"])
def test_common_dtype(inputs, dtype, xp):
    inputs = tuple(xp.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs)
    for x, out in zip(inputs, in_common_dtype(*inputs), strict=True):
        assert out is x if not hasattr(x, "dtype") else out.dtype == dtype
    if len(inputs) == 2:
        assert all(out is x if not hasattr(x, "dtype") else out.dtype == dtype
                   for x, out in zip(inputs, promoted(*inputs), strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_pair_as_pytorch(name):
    torch = pytest.importorskip("torch")
    things = [np.array([1, 2, 3] if axes else 2).astype(dtype) for dtype in DTYPES for axes in (0, 1)] + NUMBERS
    for a, b in itertools.product(things, things):
        ours = [Tensor(x) if isinstance(x, np.ndarray) else x for x in (a, b)]
        theirs = [torch.tensor(x) if isinstance(x, np.ndarray) else x for x in (a, b)]
        if not any(isinstance(x, np.ndarray) for x in (a, b)):
            continue
        try:
            expected = getattr(torch, name)(*theirs)
        except (RuntimeError, TypeError):                # booleans cannot be subtracted; maximum takes no numbers
            continue
        if name == "pow" and expected.dtype == torch.bool:
            continue                                     # NumPy has no power of booleans, and gives int8
        out = getattr(F, name)(*ours)
        assert str(expected.dtype) == f"torch.{out.dtype}", (a, b)
        np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("function", [F.exp, F.log, F.sqrt, F.sigmoid, F.tanh, F.softmax, F.log_softmax, F.gelu, F.mean,
                                      F.var, F.logsumexp], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i8"])
def test_functions_of_integers_give_float32(function, dtype):
    x = np.array([0, 1, 1, 0]).astype(dtype)
    with np.errstate(divide="ignore"):
        out, expected = function(Tensor(x)), function(Tensor(x.astype(np.float32)))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


def test_the_result_feeds_a_layer():
    x = Tensor(np.ones((1, 1, 4, 4), np.float32)) * Tensor(np.arange(4)) * Tensor(np.array(0.5)) / 255
    assert F.conv2d(x, np.ones((1, 1, 3, 3), np.float32)).dtype == np.float32
    assert F.cat([x, Tensor(np.ones((1, 1, 4, 4), np.int64))]).dtype == np.float32
    assert (x @ Tensor(np.ones((4, 2), np.int64))).dtype == np.float32
    assert F.where(x.numpy() > 0, x, Tensor(np.ones(4, np.int64))).dtype == np.float32


def test_gradients_keep_the_dtype_of_each_input():
    x = Tensor(np.ones(3, np.float32), requires_grad=True)
    scale = Tensor(np.array(2.0), requires_grad=True)
    out = x * scale
    assert out.dtype == np.float32
    out.sum().backward()
    assert (x.grad.dtype, scale.grad.dtype) == (np.float32, np.float64)
    assert scale.grad.item() == 3


def test_the_least_integer():
    """-(-128) is -128 among 8-bit integers, so minimum cannot be computed from maximum."""
    a, b = np.array([-128, 5], np.int8), np.array([3, -128], np.int8)
    assert F.minimum(a, b).numpy().tolist() == [-128, -128]
    assert F.minimum(np.array([True, False]), np.array([True, True])).numpy().tolist() == [True, False]
