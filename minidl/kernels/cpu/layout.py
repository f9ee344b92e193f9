"""Channels last: memory order NHWC, the channels of a pixel side by side, in which these kernels read images."""

from minidl.kernels.cpu.llvm.transpose import transpose
from minidl.kernels.cpu.llvm.vectors import copy_vector
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import ceil_div, share


def channels_last(x):
    """x (N, C, H, W) as a C-contiguous array (N, H, W, C): a view if memory already has that order, else a copy."""
    n, c, h, w = x.shape
    view = x.transpose(0, 2, 3, 1)
    if view.flags.c_contiguous:
        return view.reshape(-1).reshape(n, h, w, c)      # sets the stride of axes of length 1, which may be anything
    if x.flags.c_contiguous and x.dtype.kind == "f":     # vectors are of floats; winners of max pooling are integers
        return transposed(x.reshape(n, c, h * w)).reshape(n, h, w, c)
    out = empty(view.shape, x.dtype)
    out[...] = view
    return out


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
