"""Copies into a part of another array, of any dtype, in units of up to 16 bytes: padding, slices and concatenation."""

import itertools
from typing import NamedTuple

import numpy as np

from minidl.device import array_module
from minidl.kernels import plain
from minidl.kernels.gpu.elements import THREADS, blocks
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.runtime.launcher import launch
from minidl.kernels.memory_order import axes_by_stride

AXES, SOURCES, WIDEST = 8, 64, 16                    # as in copies.cu; WIDEST in bytes


class Axis(NamedTuple):
    """An axis of the result, on which elements first, first + step, ... are those of the source, `count` of them."""

    n: int
    first: int
    step: int
    count: int
    stride: int                                      # of the source, in elements


PLACED = np.dtype([("from", np.uint64), ("axes", np.int32), *((name, np.int32, AXES) for name in Axis._fields[:-1]),
                   ("stride", np.int64, AXES), ("value", np.uint32, 4)], align=True)
MATRICES = np.dtype([("from", np.uint64, SOURCES), ("first", np.int32, SOURCES + 1), ("count", np.int32)], align=True)


def place(x, index, shape, like, value=0):
    order = axes_by_stride(like.strides)
    axes = joined([axis_of(index[a], shape[a], x.shape[a], x.strides[a] // x.itemsize) for a in order])
    if len(axes) > AXES or any(axis.n >= 2**31 for axis in axes):
        return plain.place(x, index, shape, like, value)
    out = array_module(x).empty([shape[axis] for axis in order], dtype=x.dtype)
    if out.size:
        width = width_of(x, axes)
        launch_over(out, width, "place", structure(x, axes, width, value), out, out.size // width)
    return out.transpose(sorted(range(len(order)), key=order.__getitem__))


def axis_of(part, n, count, stride):
    """The Axis of a slice of n elements, as short as possible in words."""
    first, _, step = part.indices(n)
    return Axis(n, first, step if count > 1 else 1, count, stride)


def joined(axes):
    """The axes, outermost first, without those of length 1; each that is copied whole is joined to the one before."""
    found = []
    for axis in axes:
        before = found[-1] if found else None
        whole = (axis.first, axis.step, axis.count) == (0, 1, axis.n)
        if whole and axis.n == 1:
            continue
        if before and whole and before.step == 1 and (before.count == 1 or before.stride == axis.stride * axis.n):
            n = axis.n
            found[-1] = Axis(before.n * n, before.first * n, 1, before.count * n, axis.stride)
        else:
            found.append(axis)
    return found or [Axis(1, 0, 1, 1, 1)]


def width_of(x, axes):
    """How many elements one unit has: a power of 2, as large as the lengths, strides and the address of x allow."""
    *outer, last = axes
    if last.step != 1 or (last.stride != 1 and last.count > 1):
        return 1
    strides = [axis.stride for axis in outer if axis.count > 1]
    return dividing(x.itemsize, [last.n, last.first, last.count, *strides], [x])


def dividing(itemsize, lengths, arrays):
    """How many elements a unit has, at most 16 bytes: it divides all lengths, and all arrays are aligned to it."""
    width = WIDEST // itemsize
    while width > 1 and (any(n % width for n in lengths) or any(a.data.ptr % (width * itemsize) for a in arrays)):
        width //= 2
    return width


def structure(x, axes, width, value):
    """The structure Placed of copies.cu, in units of `width` elements."""
    *outer, last = axes
    axes = [*(axis._replace(stride=axis.stride // width) for axis in outer),
            Axis(last.n // width, last.first // width, last.step, last.count // width, last.stride)]
    placed = np.zeros(1, PLACED)
    placed["from"], placed["axes"] = x.data.ptr if x.size else 0, len(axes)
    placed["value"] = np.full(WIDEST // x.itemsize, value, x.dtype).view(np.uint32)
    for name, column in zip(Axis._fields, zip(*axes, strict=True), strict=True):
        placed[name][0, :len(axes)] = column
    return placed


def concatenate(arrays, axis):
    xp, order = array_module(*arrays), axes_by_stride(arrays[0].strides)
    at, arrays = order.index(axis), [contiguous(x.transpose(order)) for x in arrays]
    shape = [*arrays[0].shape[:at], sum(x.shape[at] for x in arrays), *arrays[0].shape[at + 1:]]
    out = xp.empty(shape, dtype=arrays[0].dtype)
    rows, inner = int(np.prod(shape[:at])), int(np.prod(shape[at + 1:]))
    arrays = [x for x in arrays if x.size]
    firsts = list(itertools.accumulate((x.shape[at] * inner for x in arrays), initial=0))
    if firsts[-1] >= 2**31:
        raise ValueError(f"cat: rows of {firsts[-1]} elements; the GPU's kernel takes fewer than 2**31")
    width = dividing(out.itemsize, firsts, arrays)
    for some in range(0, len(arrays), SOURCES):
        matrices, count = np.zeros(1, MATRICES), len(arrays[some:some + SOURCES])
        matrices["from"][0, :count] = [x.data.ptr for x in arrays[some:some + SOURCES]]
        matrices["first"][0, :count + 1] = [first // width for first in firsts[some:some + count + 1]]
        matrices["count"] = count
        columns = (firsts[some + count] - firsts[some]) // width
        launch_over(out, width, "concatenate", matrices, out, rows * columns, firsts[-1] // width)
    return out.transpose(sorted(range(len(order)), key=order.__getitem__))


def launch_over(out, width, kernel, table, *args):
    """Launch a kernel that moves `width` elements at a time; its second number is how many units there are."""
    launch(out, "copies.cu", kernel, (blocks(args[1]),), (THREADS,), table, *args,
           defines=(f"BYTES={width * out.itemsize}",))
