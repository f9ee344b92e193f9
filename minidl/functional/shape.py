"""Operations that move elements about without changing them. Most share memory with their input."""

import itertools
import math

from minidl.device import array_module
from minidl.functional.reduction import axes_of
from minidl.tensor import Tensor, op


@op
def reshape(x, /, *, shape):
    """The elements of x, in C order, in another shape; one length may be -1 and is then worked out."""
    before = x.shape

    def backward(grad):
        return grad.reshape(before)
    return x.reshape(shape), backward


def flatten(x, /, start_dim=0, end_dim=-1):
    """The axes from start_dim to end_dim made one.   flatten(x, 1): (N, C, H, W) -> (N, C*H*W)"""
    start, end = axes_of(x, start_dim, "flatten")[0], axes_of(x, end_dim, "flatten")[0]
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim} in a tensor of shape {x.shape}")
    return reshape(x, shape=x.shape[:start] + (math.prod(x.shape[start:end + 1]),) + x.shape[end + 1:])


@op
def permute(x, /, *, axes):
    """x with its axes in another order, as numpy.transpose."""
    inverse = sorted(range(len(axes)), key=[i % x.ndim for i in axes_of(x, axes, "permute")].__getitem__)
    if len(axes) != x.ndim:
        raise ValueError(f"permute: {len(axes)} axes {axes} for a tensor of shape {x.shape}")

    def backward(grad):
        return grad.transpose(inverse)
    return x.transpose(axes), backward


def transpose(x, dim0, dim1, /):
    """x with the axes dim0 and dim1 exchanged."""
    axes = list(range(x.ndim))
    i, j = axes_of(x, dim0, "transpose")[0], axes_of(x, dim1, "transpose")[0]
    axes[i], axes[j] = j, i
    return permute(x, axes=tuple(axes))


def squeeze(x, /, axis=None):
    """x without its axes of length 1, or without those of them that `axis` names; it may name others, which stay."""
    axes = axes_of(x, axis, "squeeze")
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in axes or n != 1))


def unsqueeze(x, axis, /):
    """x with a new axis of length 1 at the place `axis`."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(f"unsqueeze: no place {axis} in a tensor of shape {x.shape}")
    axis %= x.ndim + 1
    return reshape(x, shape=x.shape[:axis] + (1,) + x.shape[axis:])


@op
def expand(x, /, *, shape):
    """x repeated along its axes of length 1, and along new ones in front, without copying; -1 keeps a length."""
    extra = len(shape) - x.ndim
    if extra < 0:
        raise ValueError(f"expand: shape {shape} has fewer axes than the tensor's {x.shape}")
    shape = tuple(x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(shape))

    def backward(grad):
        return grad                                                      # the tape sums what was repeated
    return array_module(x).broadcast_to(x, shape), backward


@op
def getitem(x, /, *, index):
    """x[index], as in NumPy: slices, integers, None, `...`, and arrays of booleans or integers.

    Where an index names an element several times, its gradients add up.
    """
    shape, xp = x.shape, array_module(x)
    like = xp.empty_like(x, shape=(2,) * x.ndim)          # has x's order of memory, and does not keep x alive
    index = index_of(index, xp)
    parts = index if isinstance(index, tuple) else (index,)
    repeats = any(hasattr(part, "dtype") and part.dtype != bool for part in parts)

    def backward(grad):
        dx = xp.zeros_like(like, shape=shape)
        if repeats:
            xp.add.at(dx, index, grad)
        else:
            dx[index] = grad
        return dx
    return x[index], backward


def index_of(index, xp):
    """An index whose tensors and lists have become arrays of the library `xp`."""
    if isinstance(index, tuple):
        return tuple(index_of(part, xp) for part in index)
    if isinstance(index, list):
        return xp.asarray(index, dtype=None if index else xp.int64)      # NumPy would take an empty list for floats
    return index.data if isinstance(index, Tensor) else index


def cat(tensors, /, axis=0):
    """The tensors end to end along `axis`; in all other axes they agree."""
    return _cat(*listed(tensors, "cat"), axis=axis)


@op
def _cat(*arrays, axis):
    axis, xp = axes_of(arrays[0], axis, "cat")[0], array_module(*arrays)
    ends = [0]
    for a in arrays:
        ends.append(ends[-1] + a.shape[axis])
    before = (slice(None),) * axis

    def backward(grad):
        return tuple(grad[(*before, slice(start, end))] for start, end in itertools.pairwise(ends))
    return xp.concatenate(arrays, axis=axis), backward


def stack(tensors, /, axis=0):
    """The tensors, all of one shape, side by side along a new axis."""
    tensors = listed(tensors, "stack")
    if any(t.shape != tensors[0].shape for t in tensors):
        raise ValueError(f"stack: the tensors must have one shape, not {', '.join(str(t.shape) for t in tensors)}")
    return cat([unsqueeze(t, axis) for t in tensors], axis=axis)


def listed(tensors, name):
    """The tensors as a list, at least one."""
    if isinstance(tensors, Tensor) or not len(tensors := list(tensors)):
        raise TypeError(f"{name}: give a list of at least one tensor")
    return tensors
