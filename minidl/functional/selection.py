"""Operations that choose elements: the largest, the smallest, in order, by their places.

As in PyTorch, `max` and `min` along an axis return the values and their indices, and the gradient goes to the element
that was chosen; `amax` and `amin` return the values alone, and equal elements share the gradient.
"""

import math
from typing import Any, NamedTuple

from minidl.device import array_module
from minidl.functional.checks import Axis, axes_of
from minidl.functional.elementwise import maximum, minimum, where
from minidl.functional.reduction import amax, amin, some_of
from minidl.functional.shape import squeeze
from minidl.scalars import flag, whole
from minidl.spelling import by_either_name
from minidl.tensor import Operand, Tensor, as_array, op


class Chosen(NamedTuple):
    """Elements that were chosen along an axis, and their places there (int64)."""

    values: Tensor
    indices: Tensor


@by_either_name
def argmax(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The index of the largest element along `axis`, the first of equal ones; of all elements in C order if None."""
    return place("argmax", x, axis, keepdims)


@by_either_name
def argmin(x: Operand, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The index of the smallest element along `axis`, the first of equal ones; of all elements in C order if None."""
    return place("argmin", x, axis, keepdims)


def place(name: str, x: Operand, axis: Axis, keepdims: bool) -> Tensor:
    """The result of the method `name` of arrays, argmax or argmin."""
    x = as_array(x)
    axes = some_of(x, axis, name)
    if axis is None:
        return Tensor.made_by(getattr(x, name)(keepdims=keepdims), None)
    if len(axes) > 1:
        raise ValueError(f"{name}: axis {axis} must be one axis, or None for the index among all elements")
    return Tensor.made_by(getattr(x, name)(axes[0], keepdims=keepdims), None)


@by_either_name
def gather(x: Operand, axis: int, index: Operand) -> Tensor:
    """The elements of x at the places that `index` names along `axis`: out[i, j] = x[i, index[i, j]] for axis 1 of 2.

    x and index have the same number of axes; along all others, index may be shorter  ->  the shape of index
    """
    return _gather(x, as_array(index), axis=axis)


@op
def _gather(x, index, /, *, axis):
    """Gradients of an element that is chosen several times are summed."""
    xp, shape = array_module(x), x.shape
    axis, = axes_of(x, whole("gather", "axis", axis, -math.inf), "gather")
    if index.dtype.kind not in "iu":
        raise TypeError(f"gather: index must hold integers, not {index.dtype}")
    if index.ndim != x.ndim or any(n > m for i, (n, m) in enumerate(zip(index.shape, shape, strict=True)) if i != axis):
        raise ValueError(f"gather: index {index.shape} must have as many axes as x {shape}, and be no longer than x "
                         f"along all but axis {axis}")
    if index.size and not 0 <= index.min() <= index.max() < shape[axis]:
        raise IndexError(f"gather: index holds {int(index.min())} to {int(index.max())}; axis {axis} of x {shape} has "
                         f"the places 0 to {shape[axis] - 1}")
    ones = (1,) * (x.ndim - 1)
    places = tuple(index if i == axis else xp.arange(n).reshape(ones[:i] + (n,) + ones[i:])
                   for i, n in enumerate(index.shape))

    def backward(grad):
        dx = xp.zeros(shape, dtype=grad.dtype)
        xp.add.at(dx, places, grad)
        return dx
    return x[places], backward


@by_either_name
def max(x: Operand, /, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element; with `axis`, Chosen(values, indices) along it; max(x, y) of two tensors: maximum(x, y)."""
    if isinstance(axis, Tensor) or getattr(axis, "ndim", None):
        return maximum(x, axis)
    return amax(x) if axis is None else chosen(x, argmax(x, axis, True), axis, keepdims)


@by_either_name
def min(x: Operand, /, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element; with `axis`, Chosen(values, indices) along it; min(x, y) of two tensors: minimum(x, y)."""
    if isinstance(axis, Tensor) or getattr(axis, "ndim", None):
        return minimum(x, axis)
    return amin(x) if axis is None else chosen(x, argmin(x, axis, True), axis, keepdims)


def chosen(x: Operand, index: Tensor, axis: int, keepdims: bool) -> Chosen:
    """The elements at `index`, whose axis has length 1 and is removed unless `keepdims`."""
    values = gather(x, axis, index)
    return Chosen(values, index) if keepdims else Chosen(squeeze(values, axis), squeeze(index, axis))


@by_either_name
def sort(x: Operand, /, axis: int = -1, descending: bool = False) -> Chosen:
    """The elements in ascending or descending order along `axis`, equal ones in their order, and their indices."""
    index = argsort(x, axis, descending)
    return Chosen(gather(x, axis, index), index)


@by_either_name
def argsort(x: Operand, /, axis: int = -1, descending: bool = False) -> Tensor:
    """The indices that would sort x along `axis`; equal elements keep their order, and NaN is the largest of all."""
    x = as_array(x)
    xp, (axis,) = array_module(x), axes_of(x, whole("argsort", "axis", axis, -math.inf), "argsort")
    if not flag("argsort", "descending", descending):
        return Tensor.made_by(xp.argsort(x, axis=axis, kind="stable"), None)
    from_last = xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)
    return Tensor.made_by(x.shape[axis] - 1 - from_last, None)


@by_either_name
def topk(x: Operand, /, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Chosen:
    """The k largest elements along `axis`, or the smallest, in order, and their indices. `sorted` changes nothing."""
    index = argsort(x, axis, flag("topk", "largest", largest)).data
    (axis,), k = axes_of(index, axis, "topk"), whole("topk", "k", k, 0)
    if k > index.shape[axis]:
        raise ValueError(f"topk: k={k} is more than the {index.shape[axis]} elements along axis {axis}")
    first = Tensor.made_by(index[(slice(None),) * axis + (slice(k),)], None)
    return Chosen(gather(x, axis, first), first)


def masked_fill(x: Operand, mask: Operand, value: Operand, /) -> Tensor:
    """x with `value` where the mask, an array of booleans, is true."""
    return where(mask, value, x)

