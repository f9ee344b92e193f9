"""Operations that ONNX has and `minidl.functional` has not, and what all operators share."""

from typing import Any

import numpy as np

from minidl.device import array_module
from minidl.functional.promotion import floating
from minidl.kernels import Taps, backend
from minidl.onnx.source import Operator
from minidl.tensor import Operand, Tensor, op


@op
def erf(x: Operand, /):
    """The error function, elementwise: 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    It is 2 * Phi(sqrt(2) * x) - 1, where gelu(z) = z * Phi(z) is a kernel of ours; near 0, where that quotient would
    lose digits, its series.
    """
    x = floating(x)
    xp, kernels = array_module(x), backend(x)
    z = xp.where(xp.abs(x) < 1e-2, 1, x) * np.sqrt(2).astype(x.dtype)
    away = 2 * kernels.activation("gelu", z) / z - 1
    square = x * x
    near = 2 / np.sqrt(np.pi).astype(x.dtype) * x * (1 - square / 3 * (1 - square * 3 / 10 * (1 - square * 5 / 21)))
    out = xp.where(xp.abs(x) < 1e-2, near, away).astype(x.dtype)

    def backward(grad):
        return grad * (2 / np.sqrt(np.pi).astype(x.dtype) * xp.exp(-x * x))
    return out, backward


@op
def resample(x: Operand, /, *, rows: Taps, columns: Taps):
    """Images whose rows and columns are weighted sums of those of x, as tables say.   (N, C, H, W) -> (N, C, ...)"""
    (h, w), kernels = x.shape[2:], backend(x)

    def backward(grad):
        return kernels.resample(grad, rows.transposed(h), columns.transposed(w))
    return kernels.resample(x, rows, columns), backward


def is_float(x: Any) -> bool:
    """Whether an input holds floats, so that it is computed with functions that have gradients."""
    return x is not None and x.dtype.kind == "f"


def array(x: Any) -> np.ndarray:
    """An input as an array, for what has no gradient."""
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def ints(x: Any) -> list[int]:
    """An input of integers as a list, such as axes or a shape."""
    return [int(n) for n in np.asarray(array(x)).reshape(-1)]


def axes_in(node: Operator, values: tuple[Any, ...], place: int, since: int) -> list[int] | None:
    """The axes that a node names: an attribute before opset `since`, an input at `place` from there on."""
    if node.opset < since:
        axes = node.get("axes")
        return None if axes is None else [int(n) for n in axes]
    return ints(values[place]) if len(values) > place and values[place] is not None else None


def check_images(node: Operator, x: Any) -> None:
    """Raise Unsupported unless x is a batch of images."""
    if x.ndim != 4:
        raise node.refused(f"an input with {x.ndim} axes", "images (N, C, H, W) are, so give it an axis of length 1")
