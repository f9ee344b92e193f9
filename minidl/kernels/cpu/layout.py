"""Channels last: the order in which the kernels here read images, one pixel's channels side by side."""

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.target import VECTOR_BYTES
from minidl.kernels.cpu.tile import copy_vector
from minidl.kernels.cpu.turn_tile import turn_lines


def channels_last(x):
    """x (N, C, H, W) as a C-contiguous array (N, H, W, C): a view, if that is how it lies in memory, else a copy."""
    n, c, h, w = x.shape
    turned = x.transpose(0, 2, 3, 1)
    if turned.flags.c_contiguous:
        return turned.reshape(-1).reshape(n, h, w, c)    # an axis of length 1 may have any stride; here it has its own
    if x.flags.c_contiguous and x.dtype.kind == "f":     # turning is for numbers; places are integers
        return transposed(x.reshape(n, c, h * w)).reshape(n, h, w, c)
    out = empty(turned.shape, x.dtype)
    out[...] = turned
    return out


def logical(x):
    """The inverse: (N, H, W, C) seen as (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def padded(x, pads):
    """x (N, H, W, C) with zeros around it, ((top, bottom), (left, right)) pixels wide; x itself if there are none.

    Negative numbers cut.
    """
    if not any(map(any, pads)):
        return x
    (top, bottom), (left, right) = pads
    n, h, w, c = x.shape
    out = empty((n, h + top + bottom, w + left + right, c), x.dtype)
    surround(x, out, top, left)
    return out


@kernel
def surround(threads, x, out, top, left):
    """Copy x into out, `top` rows down and `left` columns to the right, and zeros elsewhere."""
    n, h, w, c = x.shape
    _, oh, ow, _ = out.shape
    size, first, last = x.itemsize, max(0, left) * c, min(ow, left + w) * c
    zeros = np.zeros(VECTOR_BYTES // size, x.dtype)
    for row in prange(n * oh):
        image, y = row // oh, row % oh
        line = out.ctypes.data + row * ow * c * size
        if top <= y < top + h:
            source = x.ctypes.data + ((image * h + y - top) * w * c + first - left * c) * size
            copy_line(x, zeros.ctypes.data, 0, line, first)
            copy_line(x, source, 1, line + first * size, last - first)
            copy_line(x, zeros.ctypes.data, 0, line + last * size, ow * c - last)
        else:
            copy_line(x, zeros.ctypes.data, 0, line, ow * c)


@inner
def copy_line(like, source, step, target, count):
    """Copy `count` numbers from one address to another, vector by vector; with a step of 0, the same vector always."""
    for i in range(0, count, VECTOR_BYTES // like.itemsize):
        at = i * like.itemsize
        copy_vector(like, source + step * at, target + at, count - i)


@kernel
def fill(threads, pixel, out):
    """Make all pixels of out (N, H, W, C) like `pixel` (C,)."""
    n, h, w, c = out.shape
    for row in prange(n * h):
        line = out[row // h, row % h]
        for x in range(w):
            for i in range(c):
                line[x, i] = pixel[i]


def transposed(x):
    """The transpose of each matrix.   x (B, R, C), C-contiguous  ->  (B, C, R)"""
    b, r, c = x.shape
    out = empty((b, c, r), x.dtype)
    turn(x, out)
    return out


@kernel
def turn(threads, x, out):
    """out[b, j, i] = x[b, i, j], band by band of columns."""
    b, r, c = x.shape
    size = x.itemsize
    width = VECTOR_BYTES // size
    bands = (c + width - 1) // width
    for unit in prange(b * bands):
        matrix, first = unit // bands, unit % bands * width
        turn_lines(x, x.ctypes.data + (matrix * r * c + first) * size, c * size, r, min(width, c - first),
                   out.ctypes.data + (matrix * c + first) * r * size, r * size)
