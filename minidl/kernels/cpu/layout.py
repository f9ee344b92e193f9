"""Memory order: copies by all threads, and channels last, NHWC, in which these kernels read images.

NumPy copies with one thread. `assign` divides the lines of an array among all: axes that follow each other in both
arrays are one, so a line is as long as can be. A slice of channels, channels last, has a line for each pixel:

    n h w   0 1 2 3 4 5 6 7          x[:, 2:6]: lines of 4 elements, 8 apart in x
    0 0 0   . . o o o o . .
    0 0 1   . . o o o o . .
"""

from typing import NamedTuple

import numpy as np
from numba import carray

from minidl.kernels.cpu.llvm.transpose import transpose
from minidl.kernels.cpu.llvm.vectors import copy_vector
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.data_pointer import as_pointer
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import SERIAL_SIZE, ceil_div, share, share_of_elements
from minidl.kernels.memory_order import axes_by_stride

AXES = 5                   # of a copy by all threads, at most
FEW_LINES = 16             # fewer are divided among the threads themselves


class Lines(NamedTuple):
    """An array as lines: its address, and the bytes from one element to the next along AXES axes."""

    address: int
    steps: tuple


def assign(target, source):
    """target[...] = source, arrays of one shape, by all threads if there is enough to copy."""
    fits = target.dtype == source.dtype and target.dtype.kind == "f" and target.size > SERIAL_SIZE
    axes = common_axes(target, source) if fits else ()
    if not 0 < len(axes) <= AXES:
        target[...] = source
        return
    lengths, *steps = zip(*[(1, 0, 0)] * (AXES - len(axes)), *axes, strict=True)
    copy_lines(np.empty(0, target.dtype), lengths, *(Lines(a.__array_interface__["data"][0], s)
                                                  for a, s in zip((target, source), steps, strict=True)))


def common_axes(target, source):
    """The axes as (length, step in the target, step in the source) in the target's memory order, merged if possible."""
    axes = []
    for axis in axes_by_stride(target.strides):
        n, here, there = target.shape[axis], target.strides[axis], source.strides[axis]
        if axes and axes[-1][1:] == (n * here, n * there):
            axes[-1] = (axes[-1][0] * n, here, there)
        elif n != 1:
            axes.append((n, here, there))
    return axes


@kernel
def copy_lines(thread, threads, like, lengths, target, source):
    """Copy an array of AXES axes; `like` gives the type of its elements."""
    a, b, c, rows, length = lengths
    count, first, stop = a * b * c * rows, 0, length
    lines = share(thread, threads, count)
    if count < FEW_LINES:
        lines, (first, stop) = range(count), share_of_elements(thread, threads, length)
    line = lines.start
    while line < lines.stop:
        i, j, k, row = line // (rows * c * b), line // (rows * c) % b, line // rows % c, line % rows
        end = min(rows, row + lines.stop - line)
        to, of = address_of(target, i, j, k, first), address_of(source, i, j, k, first)
        line += end - row
        for r in range(row, end):
            copy_line(like, of + r * source.steps[3], source.steps[4], to + r * target.steps[3], target.steps[4],
                      stop - first)


@inner
def address_of(lines, i, j, k, first):
    """The address of element (i, j, k, 0, first)."""
    return lines.address + i * lines.steps[0] + j * lines.steps[1] + k * lines.steps[2] + first * lines.steps[4]


@inner
def copy_line(like, source, source_step, target, target_step, count):
    """Copy elements that are these steps apart."""
    size = like.itemsize
    if source_step == size and target_step == size:
        for i in range(0, count, VECTOR_BYTES // size):
            copy_vector(like, source + i * size, target + i * size, count - i)
    else:
        for i in range(count):
            element = carray(as_pointer(source + i * source_step), (1,), like.dtype)[0]
            carray(as_pointer(target + i * target_step), (1,), like.dtype)[0] = element


def contiguous(x):
    """(x in memory order, a copy only if it has gaps; the axes by which a transpose restores the order of x)."""
    if x.flags.c_contiguous:
        return x, range(x.ndim)
    order = axes_by_stride(x.strides)
    ordered = x.transpose(order)
    if not ordered.flags.c_contiguous:
        ordered = copied(ordered)
    return ordered, sorted(range(x.ndim), key=order.__getitem__)


def contiguous_like(axes, x, buffer):
    """x in the order that `contiguous` gave another array of its shape: a view, or else `buffer` with a copy of x."""
    x = x.transpose(sorted(range(x.ndim), key=axes.__getitem__))
    if x.flags.c_contiguous:
        return x
    assign(buffer, x)
    return buffer


def copied(x):
    """A C-contiguous copy of x."""
    out = empty(x.shape, x.dtype)
    assign(out, x)
    return out


def channels_last(x):
    """x (N, C, H, W) as a C-contiguous array (N, H, W, C): a view if memory already has that order, else a copy."""
    n, c, h, w = x.shape
    view = x.transpose(0, 2, 3, 1)
    if view.flags.c_contiguous:
        return view.reshape(-1).reshape(n, h, w, c)      # sets the stride of axes of length 1, which may be anything
    if x.flags.c_contiguous and x.dtype.kind == "f":     # vectors are of floats; winners of max pooling are integers
        return transposed(x.reshape(n, c, h * w)).reshape(n, h, w, c)
    return copied(view)


def logical(x):
    """The inverse: (N, H, W, C) as a view (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def padded(x, pads):
    """x (N, H, W, C) with zeros around it, ((top, bottom), (left, right)) pixels wide; x itself if there are none.

    Negative widths cut pixels off.
    """
    if not any(map(any, pads)):
        return x
    (top, bottom), (left, right) = pads
    n, h, w, c = x.shape
    out = empty((n, h + top + bottom, w + left + right, c), x.dtype)
    pad(x, out, top, left)
    return out


@kernel
def pad(thread, threads, x, out, top, left):
    """Copy x into out, `top` rows down and `left` columns to the right; the rest of out becomes 0."""
    n, h, w, c = x.shape
    _, oh, ow, _ = out.shape
    size, length = x.itemsize, ow * c
    first, last, flat = max(0, left), min(ow, left + w), out.reshape(n * oh * length)
    for row in share(thread, threads, n * oh):
        image, y = row // oh, row % oh - top
        begin, end = (first * c, last * c) if 0 <= y < h else (length, length)
        source, line = x.ctypes.data + ((image * h + y) * w - left) * c * size, flat[row * length:(row + 1) * length]
        for i in range(begin):
            line[i] = 0
        for i in range(begin, end, VECTOR_BYTES // size):
            copy_vector(x, source + i * size, line.ctypes.data + i * size, end - i)
        for i in range(length - end):
            line[end + i] = 0


@kernel
def fill_pixels(thread, threads, pixel, out):
    """Set every pixel of out (N, H, W, C) to `pixel` (C,)."""
    n, h, w, c = out.shape
    for row in share(thread, threads, n * h):
        line = out[row // h, row % h]
        for x in range(w):
            for i in range(c):
                line[x, i] = pixel[i]


def transposed(x):
    """The transpose of each matrix.   x (B, R, C), C-contiguous  ->  (B, C, R)"""
    b, r, c = x.shape
    out = empty((b, c, r), x.dtype)
    transpose_matrices(x, out)
    return out


@kernel
def transpose_matrices(thread, threads, x, out):
    """out[b, j, i] = x[b, i, j]. A work unit is a matrix and as many columns as a vector has lanes."""
    b, r, c = x.shape
    size = x.itemsize
    width = VECTOR_BYTES // size
    bands = ceil_div(c, width)
    for unit in share(thread, threads, b * bands):
        matrix, first = unit // bands, unit % bands * width
        transpose(x, x.ctypes.data + (matrix * r * c + first) * size, c * size, r, min(width, c - first),
                  out.ctypes.data + (matrix * c + first) * r * size, r * size)
