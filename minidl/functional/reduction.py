"""Operations that fold axes away: sums, means, variances, extremes.

`axis` is None (all axes), a number or a tuple of numbers, as in NumPy; `keepdims` keeps the folded axes with length 1.
Each backward first gives the gradient its folded axes back (`restored`), so that it broadcasts against x again.
"""

import math

from minidl.device import array_module
from minidl.kernels import Window, backend
from minidl.tensor import op


def axes_of(x, axis, name):
    """`axis` as a tuple of numbers from 0 to x.ndim - 1, checked."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    for i in axes:
        if not isinstance(i, int) or not -x.ndim <= i < x.ndim:
            raise IndexError(f"{name}: axis {i!r} of a tensor of shape {x.shape}; it has axes 0 to {x.ndim - 1}")
    axes = tuple(i % x.ndim for i in axes)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis {axis} names an axis twice")
    return axes


def restored(array, shape, axes):
    """`array` with the folded `axes` of `shape` back, each of length 1."""
    return array.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))


def count(x, axes):
    """How many elements each result is made of."""
    return math.prod(x.shape[i] for i in axes)


@op
def sum(x, /, axis=None, keepdims=False):
    """The sum over `axis`."""
    axes, shape, xp = axes_of(x, axis, "sum"), x.shape, array_module(x)

    def backward(grad):
        return xp.broadcast_to(restored(grad, shape, axes), shape)
    return x.sum(axes, dtype=x.dtype if x.dtype.kind == "f" else None, keepdims=keepdims), backward


@op
def mean(x, /, axis=None, keepdims=False):
    """The mean over `axis`."""
    axes, shape, xp = axes_of(x, axis, "mean"), x.shape, array_module(x)
    n = count(x, axes)
    if n == 0:
        raise ValueError(f"mean: there is no mean of no elements (shape {shape}, axis {axis})")

    def backward(grad):
        return xp.broadcast_to(restored(grad, shape, axes) * (1 / n), shape)
    if axes == (2, 3) and x.ndim == 4 and x.dtype.kind == "f":          # of images: pooling, which has a kernel
        size = x.shape[2:]
        out = backend(x).avg_pool2d(x, Window(size, size), 1 / n)
        return out if keepdims else out.reshape(shape[:2]), backward
    return x.mean(axes, keepdims=keepdims), backward


@op
def var(x, /, axis=None, keepdims=False, *, correction=1):
    """The variance over `axis`: the sum of (x - mean)**2 divided by n - correction; correction=1 makes it unbiased."""
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
def amax(x, /, axis=None, keepdims=False):
    """The largest element over `axis`; elements that share it share the gradient equally."""
    axes = axes_of(x, axis, "amax")
    return extreme(x, x.max(axes, keepdims=True), axes, keepdims)


@op
def amin(x, /, axis=None, keepdims=False):
    """The smallest element over `axis`; elements that share it share the gradient equally."""
    axes = axes_of(x, axis, "amin")
    return extreme(x, x.min(axes, keepdims=True), axes, keepdims)


def extreme(x, best, axes, keepdims):
    """The output and the backward of amax and amin, given the `best` elements with axes kept."""
    def backward(grad):
        winners = (x == best).astype(x.dtype)
        return restored(grad, x.shape, axes) * (winners / winners.sum(axes, keepdims=True))
    return best if keepdims else best.reshape(folded(x, axes)), backward


@op
def logsumexp(x, /, axis=None, keepdims=False):
    """log(sum(exp(x))) over `axis`, without overflow: the largest element is taken out first."""
    axes, xp = axes_of(x, axis, "logsumexp"), array_module(x)
    largest = x.max(axes, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)                 # all -inf: there is nothing to take out
    out = xp.log(xp.exp(x - largest).sum(axes, keepdims=True)) + largest

    def backward(grad):
        return restored(grad, x.shape, axes) * xp.exp(x - out)
    return out if keepdims else out.reshape(folded(x, axes)), backward


def folded(x, axes):
    """The shape of x without `axes`."""
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)
