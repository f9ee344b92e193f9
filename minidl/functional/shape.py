"""Operations that rearrange elements without changing them. Most outputs share memory with the input."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from minidl.device import array_module
from minidl.functional.checks import Axis, axes_of, check_array, is_whole, unwrapped, wholes
from minidl.functional.promotion import in_common_dtype
from minidl.kernels import backend
from minidl.scalars import whole
from minidl.spelling import by_either_name
from minidl.tensor import Operand, Tensor, op


@op
def reshape(x: Operand, /, shape: Sequence[int]):
    """The elements of x, in C order, in another shape; one length may be -1, and is then inferred."""
    before = x.shape

    def backward(grad):
        return grad.reshape(before)
    return x.reshape(wholes("reshape", "shape", shape)), backward


def flatten(x: Operand, /, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with the axes from start_dim to end_dim merged into one.   flatten(x, 1): (N, C, H, W) -> (N, C*H*W)

    A tensor without axes gets one of length 1.
    """
    check_array("flatten", x)
    if x.ndim == 0:
        return reshape(x, shape=(1,))
    start, end = axes_of(x, start_dim, "flatten")[0], axes_of(x, end_dim, "flatten")[0]
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in a tensor of shape {x.shape}")
    return reshape(x, shape=x.shape[:start] + (math.prod(x.shape[start:end + 1]),) + x.shape[end + 1:])


@op
def permute(x: Operand, /, axes: Sequence[int]):
    """x with its axes in another order, as numpy.transpose."""
    axes = axes_of(x, axes, "permute")
    inverse = sorted(range(len(axes)), key=axes.__getitem__)
    if len(axes) != x.ndim:
        raise ValueError(f"permute: {len(axes)} axes {axes} for a tensor of shape {x.shape}")

    def backward(grad):
        return grad.transpose(inverse)
    return x.transpose(axes), backward


def transpose(x: Operand, /, dim0: int, dim1: int) -> Tensor:
    """x with the axes dim0 and dim1 swapped."""
    check_array("transpose", x)
    axes = list(range(x.ndim))
    i, j = axes_of(x, dim0, "transpose")[0], axes_of(x, dim1, "transpose")[0]
    axes[i], axes[j] = j, i
    return permute(x, axes=tuple(axes))


@by_either_name
def squeeze(x: Operand, /, axis: Axis = None) -> Tensor:
    """x without its axes of length 1; with `axis`, only the axes it names are removed, if their length is 1."""
    check_array("squeeze", x)
    axes, shape = axes_of(x, axis, "squeeze"), x.shape
    return reshape(x, shape=tuple([n for i, n in enumerate(shape) if n != 1 or i not in axes]))


@by_either_name
def unsqueeze(x: Operand, /, axis: int) -> Tensor:
    """x with a new axis of length 1 at position `axis`."""
    check_array("unsqueeze", x)
    return reshape(x, shape=with_one("unsqueeze", x.shape, axis))


def with_one(name: str, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """`shape` with a new axis of length 1 at position `axis`, which may count from the end."""
    axis, places = whole(name, "axis", axis, -math.inf), len(shape) + 1
    if not -places <= axis < places:
        raise IndexError(f"{name}: no position {axis} in a tensor of shape {shape}")
    axis %= places
    return (*shape[:axis], 1, *shape[axis:])


@op
def expand(x: Operand, /, shape: Sequence[int]):
    """x broadcast to `shape` without copying, along axes of length 1 and new leading axes; -1 keeps a length."""
    shape = wholes("expand", "shape", shape)
    extra = len(shape) - x.ndim
    if extra < 0:
        raise ValueError(f"expand: shape {shape} has fewer axes than the tensor's {x.shape}")
    shape = tuple(x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(shape))

    def backward(grad):
        return grad                                                      # the tape sums over the repeated axes
    return array_module(x).broadcast_to(x, shape), backward


@op
def getitem(x: Operand, /, *, index: Any):
    """x[index], as in NumPy: slices, integers, None, `...`, and arrays of booleans or integers.

    If an index selects an element several times, its gradients are summed.
    """
    shape, xp = x.shape, array_module(x)
    like = xp.empty_like(x, shape=(2,) * x.ndim)          # keeps the memory order of x, but not x itself
    index = index_of(index, xp)
    parts = index if isinstance(index, tuple) else (index,)
    repeats = any(hasattr(part, "dtype") and part.dtype != bool for part in parts)

    def backward(grad):
        if (slices := slices_of(parts, shape)) is not None:
            lengths = [len(range(*part.indices(n))) for part, n in zip(slices, shape, strict=True)]
            return backend(grad).place(grad.reshape(lengths), slices, shape, like)
        if repeats:                                       # in float64: an element may be selected millions of times
            sums = xp.zeros_like(like, shape=shape, dtype=xp.float64)
            xp.add.at(sums, index, grad.astype(xp.float64))
            return sums
        dx = xp.zeros_like(like, shape=shape)
        dx[index] = grad
        return dx
    return x[index], backward


def slices_of(parts: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    """A slice for each axis of `shape`, if all parts are slices, integers, None or `...`; otherwise None."""
    if not all(part is None or part is Ellipsis or isinstance(part, slice) or is_whole(part) for part in parts):
        return None
    parts = tuple(part for part in parts if part is not None)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    rest = (slice(None),) * (len(shape) - len(parts) + (at < len(parts)))
    parts = (*parts[:at], *rest, *parts[at + 1:])
    return tuple(part if isinstance(part, slice) else slice(part % n, part % n + 1)
                 for part, n in zip(parts, shape, strict=True))


def index_of(index: Any, xp: Any) -> Any:
    """`index` with its tensors and lists converted to arrays of the library `xp`."""
    if isinstance(index, tuple):
        return tuple(index_of(part, xp) for part in index)
    if isinstance(index, list):
        return xp.asarray(index, dtype=None if index else xp.int64)      # NumPy makes an empty list float64
    return index.data if isinstance(index, Tensor) else index


@by_either_name
def cat(tensors: Iterable[Operand], /, axis: int = 0) -> Tensor:
    """The tensors concatenated along `axis`; all other lengths must be equal."""
    return _cat(*listed(tensors, "cat"), axis=axis)


@op
def _cat(*arrays, axis):
    axis, = axes_of(arrays[0], axis, "cat")
    arrays = in_common_dtype(*arrays)
    ends = [0]
    for a in arrays:
        ends.append(ends[-1] + a.shape[axis])
    before = (slice(None),) * axis

    def backward(grad):
        return tuple(grad[(*before, slice(start, end))] for start, end in itertools.pairwise(ends))
    return backend(arrays[0]).concatenate(arrays, axis), backward


@by_either_name
def stack(tensors: Iterable[Operand], /, axis: int = 0) -> Tensor:
    """The tensors, which must have the same shape, joined along a new axis."""
    tensors = listed(tensors, "stack")
    if any(t.shape != tensors[0].shape for t in tensors):
        raise ValueError(f"stack: the tensors must have the same shape, not {', '.join(str(t.shape) for t in tensors)}")
    longer = with_one("stack", tensors[0].shape, axis)
    return _cat(*[reshape(t, shape=longer) for t in tensors], axis=axis)


@by_either_name
def split(x: Operand, /, sizes: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along `axis` into parts of these lengths; one number: parts of that length, where the last may be shorter.

    As in PyTorch; numpy.split takes the places of the cuts instead.
    """
    axis, length = axis_and_length(x, axis, "split")
    if isinstance(unwrapped(sizes), tuple):
        lengths = wholes("split", "sizes", sizes)
        if sum(lengths) != length or min(lengths) < 0:
            raise ValueError(f"split: sizes={sizes!r} must add up to the length {length} of axis {axis}")
    else:
        size = whole("split", "sizes", sizes)
        lengths = tuple(min(size, length - start) for start in range(0, length, size)) or (0,)
    before, ends = (slice(None),) * axis, itertools.accumulate(lengths)
    return [getitem(x, index=(*before, slice(end - n, end))) for n, end in zip(lengths, ends, strict=True)]


@by_either_name
def chunk(x: Operand, /, chunks: int, axis: int = 0) -> list[Tensor]:
    """x cut along `axis` into at most `chunks` parts of equal length; the last may be shorter."""
    return split(x, max(1, -(-axis_and_length(x, axis, "chunk")[1] // whole("chunk", "chunks", chunks))), axis)


def axis_and_length(x: Operand, axis: int, name: str) -> tuple[int, int]:
    """One axis of x as a number from 0, and its length."""
    check_array(name, x)
    axis, = axes_of(x, whole(name, "axis", axis, -math.inf), name)
    return axis, x.shape[axis]


@op
def repeat(x: Operand, /, sizes: Sequence[int]):
    """x repeated sizes[i] times along axis i, as numpy.tile; further sizes at the front make new axes."""
    sizes = wholes("repeat", "sizes", sizes)
    extra = len(sizes) - x.ndim
    if extra < 0 or min(sizes, default=1) < 0:
        raise ValueError(f"repeat: sizes={sizes} must be at least {x.ndim} numbers, one for each axis of {x.shape}, "
                         "and none negative")
    parts = tuple(n for pair in zip(sizes, (1,) * extra + x.shape, strict=True) for n in pair)

    def backward(grad):
        return grad.reshape(parts).sum(tuple(range(0, len(parts), 2))).astype(grad.dtype)
    return array_module(x).tile(x, sizes), backward


@op
def clone(x: Operand, /):
    """A copy of x in its memory order; gradients pass back to x."""
    def backward(grad):
        return grad
    return x.copy(order="K"), backward


def listed(tensors: Any, name: str) -> list[Any]:
    """The tensors as a list of at least one."""
    if isinstance(tensors, Tensor) or not len(tensors := list(tensors)):
        raise TypeError(f"{name}: give a list of at least one tensor")
    return tensors
