"""Operations that reduce axes: sums, means, variances, extremes.

`axis` is None (all axes), an integer or a tuple of integers, as in NumPy; `keepdims` keeps the reduced axes with length
1. Each backward first restores the reduced axes of the gradient, so that it broadcasts against x.
"""

import math
from typing import Any

from minidl.device import array_module
from minidl.functional.checks import Axis, axes_of
from minidl.functional.promotion import floating
from minidl.kernels import Window, backend
from minidl.tensor import Operand, op


def restored(array: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """`array` with the reduced `axes` of `shape` inserted, each of length 1."""
    return array.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def count(x: Any, axes: tuple[int, ...]) -> int:
    """The number of elements that each result reduces."""
    return math.prod(x.shape[i] for i in axes)


@op
def sum(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The sum over `axis`."""
    axes, shape, xp = axes_of(x, axis, "sum"), x.shape, array_module(x)

    def backward(grad):
        return xp.broadcast_to(restored(grad, shape, axes), shape)
    return x.sum(axes, dtype=x.dtype if x.dtype.kind == "f" else None, keepdims=keepdims), backward


@op
def mean(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The mean over `axis`."""
    x = floating(x)
    axes, shape, xp = axes_of(x, axis, "mean"), x.shape, array_module(x)
    n = count(x, axes)
    if n == 0:
        raise ValueError(f"mean: no elements to average (shape {shape}, axis {axis})")

    def backward(grad):
        return xp.broadcast_to(restored(grad, shape, axes) * (1 / n), shape)
    if axes == (2, 3) and x.ndim == 4 and x.dtype.kind == "f":          # of images: average pooling, which has a kernel
        size = x.shape[2:]
        out = backend(x).avg_pool2d(x, Window(size, size), 1 / n)
        return out if keepdims else out.reshape(shape[:2]), backward
    return x.mean(axes, keepdims=keepdims), backward


@op
def var(x: Operand, /, axis: Axis = None, keepdims: bool = False, *, correction: int = 1):
    """The variance over `axis`: the sum of (x - mean)**2 divided by n - correction. correction=1: unbiased."""
    x = floating(x)
    axes, shape = axes_of(x, axis, "var"), x.shape
    n = count(x, axes) - correction
    if n <= 0:
        raise ValueError(f"var: {count(x, axes)} elements are too few for correction={correction} "
                         f"(shape {shape}, axis {axis})")
    centred = x - x.mean(axes, keepdims=True)

    def backward(grad):
        return restored(grad, shape, axes) * centred * (2 / n)
    return (centred * centred).sum(axes, keepdims=keepdims) * (1 / n), backward


@op
def amax(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The largest element over `axis`; equal elements share the gradient equally."""
    axes = axes_of(x, axis, "amax")
    return extreme(x, x.max(axes, keepdims=True), axes, keepdims)


@op
def amin(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The smallest element over `axis`; equal elements share the gradient equally."""
    axes = axes_of(x, axis, "amin")
    return extreme(x, x.min(axes, keepdims=True), axes, keepdims)


def extreme(x: Any, best: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The output and the backward of amax and amin, given the extreme elements `best` with axes kept."""
    def backward(grad):
        ties = (x == best).astype(x.dtype)
        return restored(grad, x.shape, axes) * (ties / ties.sum(axes, keepdims=True))
    return best if keepdims else best.reshape(reduced_shape(x, axes)), backward


@op
def logsumexp(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """log(sum(exp(x))) over `axis`, without overflow: the largest element is subtracted first."""
    x = floating(x)
    axes, xp = axes_of(x, axis, "logsumexp"), array_module(x)
    largest = x.max(axes, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)                 # of all -inf: nothing to subtract
    out = xp.log(xp.exp(x - largest).sum(axes, keepdims=True)) + largest

    def backward(grad):
        return restored(grad, x.shape, axes) * xp.exp(x - out)
    return out if keepdims else out.reshape(reduced_shape(x, axes)), backward


def reduced_shape(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x without `axes`."""
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)
