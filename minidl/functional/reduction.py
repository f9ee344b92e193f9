"""Operations that reduce axes: sums, means, variances, extremes.

`axis` is None (all axes), an integer or a tuple of integers, as in NumPy; `keepdims` keeps the reduced axes with length
1. Each backward first restores the reduced axes of the gradient, so that it broadcasts against x.
"""

import math
from typing import Any

from minidl.arrays import is_float
from minidl.device import array_module
from minidl.functional.checks import Axis, axes_of
from minidl.functional.elementwise import abs, mul
from minidl.functional.promotion import floating
from minidl.kernels import Window, backend
from minidl.scalars import plain, whole
from minidl.spelling import by_either_name
from minidl.tensor import Operand, Tensor, op


def restored(array: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """`array` with the reduced `axes` of `shape` inserted, each of length 1."""
    return array.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def reduced(array: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The inverse: `array`, which has the reduced `axes` of x with length 1, without them unless `keepdims`."""
    return array if keepdims else array.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))


def count(x: Any, axes: tuple[int, ...]) -> int:
    """The number of elements that each result reduces."""
    return math.prod(x.shape[i] for i in axes)


def some_of(x: Any, axis: Axis, name: str) -> tuple[int, ...]:
    """`axes_of`, for a reduction of at least one element."""
    axes = axes_of(x, axis, name)
    if x.size == 0 and count(x, axes) == 0:
        raise ValueError(f"{name}: no elements to reduce (shape {x.shape}, axis {axis})")
    return axes


def sum_of(x: Any, divisor: Any = 1) -> Any:
    """The sum of all elements of a floating-point array, divided: an array without axes."""
    sums = backend(x).axis_sums(x, tuple(range(x.ndim)))
    return (sums / divisor).astype(x.dtype, copy=False).reshape(())


@op
def sum(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The sum over `axis`; that of integers or booleans is an int64, as in PyTorch."""
    axes, shape, xp = axes_of(x, axis, "sum"), x.shape, array_module(x)

    def backward(grad):
        return xp.broadcast_to(restored(grad, shape, axes), shape)
    if not is_float(x.dtype):
        return x.sum(axes, dtype=xp.int64, keepdims=keepdims), backward
    return reduced(backend(x).axis_sums(x, axes).astype(x.dtype, copy=False), x, axes, keepdims), backward


@op
def mean(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The mean over `axis`."""
    x = floating(x)
    axes, shape, xp = axes_of(x, axis, "mean"), x.shape, array_module(x)
    n, kernels = count(x, axes), backend(x)
    if n == 0:
        raise ValueError(f"mean: no elements to average (shape {shape}, axis {axis})")

    def backward(grad):
        return xp.broadcast_to(restored(grad, shape, axes) * (1 / n), shape)
    if axes == (2, 3) and x.ndim == 4:                                  # of images: average pooling, which has a kernel
        out = kernels.avg_pool2d(x, Window(shape[2:], shape[2:]), 1 / n)
    else:
        out = (kernels.axis_sums(x, axes) / n).astype(x.dtype, copy=False)
    return reduced(out, x, axes, keepdims), backward


@op
def var(x: Operand, /, axis: Axis = None, *, keepdims: bool = False, correction: int = 1):
    """The variance over `axis`: the sum of (x - mean)**2 divided by n - correction. correction=1: unbiased.

    Distances are taken from the rounded mean; the term with `lost`, what the mean loses by rounding, makes up for it.
    """
    x = floating(x)
    axes, shape, kernels = axes_of(x, axis, "var"), x.shape, backend(x)
    n, correction = count(x, axes), whole("var", "correction", correction, 0)
    if n <= correction:
        raise ValueError(f"var: {n} elements are too few for correction={correction} (shape {shape}, axis {axis})")
    means = kernels.axis_sums(x, axes) / n
    rounded = means.astype(x.dtype)
    centred, lost = x - rounded, means - rounded
    out = (kernels.axis_sums(centred * centred, axes) - lost * lost * n) / (n - correction)

    def backward(grad):
        return restored(grad, shape, axes) * centred * (2 / (n - correction))
    return reduced(out.astype(x.dtype), x, axes, keepdims), backward


@by_either_name
def std(x: Operand, /, axis: Axis = None, *, keepdims: bool = False, correction: int = 1) -> Tensor:
    """The standard deviation over `axis`: the root of `var`. Where it is 0, so is the gradient."""
    return _root(var(x, axis, keepdims=keepdims, correction=correction))


@by_either_name
def norm(x: Operand, /, p: float = 2.0, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The length of x as a vector, over `axis`: sqrt(sum(x**2)) for p=2, sum(|x|) for 1, max(|x|) for infinity.

    The gradient of a vector of zeros is 0.
    """
    p = 2.0 if p == "fro" else plain(p)
    if p == 1:
        return sum(abs(x), axis, keepdims)
    if p == math.inf:
        return amax(abs(x), axis, keepdims)
    if p != 2:
        raise ValueError(f"norm: p={p!r} must be 1, 2 or infinity; write (abs(x) ** p).sum(axis) ** (1 / p)")
    return _root(sum(mul(x, x), axis, keepdims))


@op
def _root(x, /):
    """sqrt(x), with the gradient 0 at 0, as lengths and deviations have it in PyTorch."""
    xp = array_module(x)
    x = floating(x)
    out = xp.sqrt(x)

    def backward(grad):
        return xp.where(out > 0, grad, 0) / xp.where(out > 0, 2 * out, 1)
    return out, backward


@op
def amax(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The largest element over `axis`; equal elements share the gradient equally."""
    axes = some_of(x, axis, "amax")
    return extreme(x, x.max(axes, keepdims=True), axes, keepdims)


@op
def amin(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """The smallest element over `axis`; equal elements share the gradient equally."""
    axes = some_of(x, axis, "amin")
    return extreme(x, x.min(axes, keepdims=True), axes, keepdims)


def extreme(x: Any, best: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The output and the backward of amax and amin, given the extreme elements `best` with axes kept.

    If that is NaN, so are the gradients, as in PyTorch.
    """
    xp = array_module(x)

    def backward(grad):
        ties = x == best
        share = restored(grad, x.shape, axes) / xp.maximum(ties.sum(axes, keepdims=True), 1).astype(x.dtype)
        return xp.where(ties, share, xp.where(best == best, 0, best))
    return reduced(best, x, axes, keepdims), backward


@op
def logsumexp(x: Operand, /, axis: Axis = None, keepdims: bool = False):
    """log(sum(exp(x))) over `axis`, without overflow: the largest element is subtracted first."""
    x = floating(x)
    axes, xp = some_of(x, axis, "logsumexp"), array_module(x)
    largest = x.max(axes, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)                 # of all -inf: nothing to subtract
    out = (xp.log(backend(x).axis_sums(xp.exp(x - largest), axes)) + largest).astype(x.dtype)

    def backward(grad):
        return restored(grad, x.shape, axes) * xp.exp(x - out)
    return reduced(out, x, axes, keepdims), backward
