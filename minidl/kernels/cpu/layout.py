"""Channels last: the order in which the kernels here read images, one pixel's channels side by side."""


from minidl.kernels.cpu.llvm.gemm_microkernel import copy_vector
from minidl.kernels.cpu.llvm.transpose import turn_lines
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import share


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
def surround(thread, threads, x, out, top, left):
    """Copy x into out, `top` rows down and `left` columns to the right, and zeros elsewhere."""
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
def fill(thread, threads, pixel, out):
    """Make all pixels of out (N, H, W, C) like `pixel` (C,)."""
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
    turn(x, out)
    return out


@kernel
def turn(thread, threads, x, out):
    """out[b, j, i] = x[b, i, j], band by band of columns."""
    b, r, c = x.shape
    size = x.itemsize
    width = VECTOR_BYTES // size
    bands = (c + width - 1) // width
    for unit in share(thread, threads, b * bands):
        matrix, first = unit // bands, unit % bands * width
        turn_lines(x, x.ctypes.data + (matrix * r * c + first) * size, c * size, r, min(width, c - first),
                   out.ctypes.data + (matrix * c + first) * r * size, r * size)
