"""Copies into a part of another array, by all threads: padding, slices, and concatenation."""

import math

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.layout import assign
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import SERIAL_SIZE, share_of_elements
from minidl.kernels.memory_order import axes_by_stride


def place(x, index, shape, like, value=0):
    if math.prod(shape) <= SERIAL_SIZE or x.dtype.kind != "f":
        return plain.place(x, index, shape, like, value)
    out = empty_like(like, shape, x.dtype)
    if x.size < out.size:
        fill(out.transpose(axes_by_stride(out.strides)).reshape(-1), out.dtype.type(value))
    assign(out[index], x)
    return out


def concatenate(arrays, axis):
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    if math.prod(shape) <= SERIAL_SIZE or any(a.shape[:axis] + a.shape[axis + 1:] != (*shape[:axis], *shape[axis + 1:])
                                              for a in arrays):
        return np.concatenate(arrays, axis)                  # which says it if they do not fit
    out, start = empty_like(arrays[0], tuple(shape), arrays[0].dtype), 0
    for a in arrays:
        stop = start + a.shape[axis]
        assign(out[(slice(None),) * axis + (slice(start, stop),)], a)
        start = stop
    return out


def empty_like(like, shape, dtype):
    """A dense array without values, its axes in the memory order of `like`."""
    order = axes_by_stride(like.strides)
    out = empty(tuple(shape[axis] for axis in order), dtype)
    return out.transpose(sorted(range(len(shape)), key=order.__getitem__))


@kernel
def fill(thread, threads, out, value):
    """Set all elements of out (SIZE,)."""
    first, stop = share_of_elements(thread, threads, len(out))
    part = out[first:stop]
    for i in range(len(part)):
        part[i] = value
