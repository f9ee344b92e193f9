"""Winograd's convolution: filters of 3x3 or 5x5, stride 1, with a quarter to four ninths of the products.

Input, filters and gradients are transformed square by square (`squares.py`). At each position e of a transformed square
convolution is a plain matrix product, done by the register tile:

    output            M[e, t, f] = sum over c of V[e, t, c] * U[e, c, f]      V: squares t of x,  U: filters
    input gradient    the same, over squares of the gradient, with the filters turned round
    weight gradient   M[e, c, f] = sum over t of V[e, t, c] * Z[e, t, f]      Z: squares of the gradient

Each thread works on its own: it transforms a chunk of squares that its cache can hold, then, panel by panel of filters,
what these are multiplied with, and takes the products back at once. What lies in memory as a whole is x and the output.
Channels, those of a group too, come in whole vectors here; `convolution.py` sees to that, and chooses the scheme.
Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

import numpy as np

from minidl.kernels.cpu.convolution.winograd_tiles import (
    GAP,
    PANEL_BYTES,
    Squares,
    add_to_filters,
    finish_output,
    transform_filters,
    transform_gradient,
    transform_input,
)
from minidl.kernels.cpu.gemm.indirect import B_BYTES, panel_width, start_row
from minidl.kernels.cpu.layout import channels_last, logical, transposed
from minidl.kernels.cpu.llvm.gemm_microkernel import low_single_tile, low_tile, single_tile, wide_tile
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import LOW_ROWS, TILE_ROWS
from minidl.kernels.cpu.runtime.threads import thread_count

CHUNK_BYTES = 2**20        # of transformed squares, about: they should stay in a core's caches. A weight gradient takes
#                            twice as many, of x and grad together: each chunk costs it a pass over all filters
LEAST = 5 * TILE_ROWS      # squares in a chunk: fewer would not repay the transform of the filters
BLOCK = 4 * TILE_ROWS      # rows of M at a time
UNITS = 16                 # parts that a weight gradient is cut into: a fixed number, so that the bits don't depend on
#                            how many threads there are


def conv2d(x, weight, bias, window, scheme, groups=1, relu=False):
    """As in direct.py, by a scheme for filters of that size."""
    (top, _), (left, _) = window.padding
    out = empty((len(x), *window.out(x.shape[2:]), len(weight)), x.dtype)
    convolved(scheme, channels_last(x), taps_first(weight), False, start_row(x, bias, len(weight)), relu, (top, left),
              out)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window, scheme, groups=1, bias=None):
    """As in direct.py: the convolution of grad with the filters turned round, padded by r - 1 less what x was."""
    ((top, _), (left, _)), r = window.padding, scheme.taps
    (n, c, h, w), (f, cg) = shape, weight.shape[:2]
    out = empty((n, h, w, c), grad.dtype)
    filters = transposed(taps_first(weight).reshape(r * r, cg, f)).reshape(r * r, groups, f // groups, cg)
    filters = np.ascontiguousarray(filters.swapaxes(1, 2)).reshape(r, r, f // groups, c)
    convolved(scheme, channels_last(grad), filters, True, start_row(grad, bias, c), False, (r - 1 - top, r - 1 - left),
              out)
    return logical(out)


def taps_first(weight):
    """Filters (F, C, r, r) as (r, r, C, F), C-contiguous."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def convolved(scheme, x, filters, turned, bias, relu, pads, out):
    """Give `convolve` its geometry, and room to work in."""
    c = filters.shape[2]
    panels = whole_panels(x, out.shape[3], x.shape[3] // c)
    squares = Squares.of(out.shape[1:3], scheme.outputs, *pads)
    chunk = chunk_length(len(x) * squares.down * squares.across, scheme.points**2 * c * x.itemsize, panels)
    convolve(scheme, x, filters, int(turned), bias, int(relu), out, squares,
             Squares.of(out.shape[1:3], scheme.outputs), chunk, np.zeros(max(x.shape[3], panel_width(x)), x.dtype),
             room(scheme, chunk * c * x.itemsize), room(scheme, c * PANEL_BYTES), room(scheme, BLOCK * PANEL_BYTES))


def whole_panels(like, f, groups):
    """How many panels f filters fill; each group has panels of its own."""
    return groups * -(-f // (groups * panel_width(like)))


def chunk_length(squares, size, panels):
    """How many squares of `size` bytes a thread takes at a time: equally many, and all threads should have work."""
    chunks, threads = -(-squares // max(LEAST, CHUNK_BYTES // size)), thread_count()
    while (chunks * panels < 3 * threads or chunks * panels % threads) and squares // (chunks + 1) >= LEAST:
        chunks += 1
    return -(-squares // chunks)


def room(scheme, size):
    """Memory for each thread to keep `size` bytes for each position of a square in: (threads, positions, size + GAP)"""
    return empty((thread_count(), scheme.points**2, size + GAP), np.uint8)


@kernel
def convolve(thread, threads, scheme, x, filters, turned, bias, relu, out, squares, out_squares, chunk, zeros, v, u,
             products):
    """x (N, H, W, C), filters (r, r, C/groups, F)  ->  out (N, OH, OW, F)

    A unit of work is a panel of a group's F, of one chunk.
    """
    c = filters.shape[2]
    groups = x.shape[3] // c
    row, size = c * x.itemsize, out.shape[3] // groups * out.itemsize
    total = len(x) * squares.down * squares.across
    panels, chunks = (size + PANEL_BYTES - 1) // PANEL_BYTES, (total + chunk - 1) // chunk
    units = chunks * groups * panels
    unit, end = thread * units // threads, (thread + 1) * units // threads
    while unit < end:
        first, group, panel = unit // (groups * panels) * chunk, unit // panels % groups, unit % panels
        count, last = min(chunk, total - first), min(panels, panel + end - unit)
        transform_input(scheme, x, squares, first, count, group * row, row, zeros, v[thread])
        unit += last - panel
        for done in range(panel * PANEL_BYTES, last * PANEL_BYTES, PANEL_BYTES):
            begin, wanted = group * size + done, min(PANEL_BYTES, size - done)
            transform_filters(scheme, filters, turned, begin, wanted, u[thread])
            for t in range(0, count, BLOCK):
                rows = min(BLOCK, count - t)
                multiply(x, v[thread], t * row, row, rows, x.itemsize, c, u[thread], wanted, zeros,
                         products[thread])
                finish_output(scheme, products[thread], out_squares, first + t, rows, begin, wanted, bias, relu,
                              out)


@inner
def multiply(like, a, begin, apart, rows, stride, k, b, wanted, zeros, products):
    """products[e] = A[e] @ B[e] at each position e, a panel of columns of which `wanted` bytes count.

    Row p of A[e] begins at a[e] + begin + p * apart, its k numbers are `stride` bytes apart. Rows of B[e], and of the
    products, are PANEL_BYTES apart.
    """
    table, step = np.empty((2, BLOCK), np.int64), np.empty(1, np.int64)
    for p in range(BLOCK):                                            # past the last row: any row
        table[0, p] = a.ctypes.data + begin + min(p, rows - 1) * apart
        table[1, p] = products.ctypes.data + p * PANEL_BYTES
    part = B_BYTES // PANEL_BYTES
    low = whole(rows, LOW_ROWS) < whole(rows, TILE_ROWS)
    for e in range(len(a)):
        for i in range(0, k, part):
            step[0] = e * a.strides[0] + i * stride
            for p in range(0, rows, LOW_ROWS if low else TILE_ROWS):
                one_tile(low, wanted == PANEL_BYTES, like, table[0, p:].ctypes.data, table[1, p:].ctypes.data,
                         e * products.strides[0], step.ctypes.data, min(part, k - i), stride,
                         b[e].ctypes.data + i * PANEL_BYTES, zeros.ctypes.data if i == 0 else 0)


@inner
def whole(rows, height):
    """So many rows, rounded up to whole tiles."""
    return (rows + height - 1) // height * height


@inner
def one_tile(low, wide, like, rows, outs, offset, step, k, stride, b, start):
    """A tile of LOW_ROWS or TILE_ROWS rows, one vector or two wide."""
    if wide and low:
        low_tile(like, rows, outs, offset, step, 1, k, stride, b, PANEL_BYTES, start, 0, 0)
    elif wide:
        wide_tile(like, rows, outs, offset, step, 1, k, stride, b, PANEL_BYTES, start, 0, 0)
    elif low:
        low_single_tile(like, rows, outs, offset, step, 1, k, stride, b, PANEL_BYTES, start, 0, 0)
    else:
        single_tile(like, rows, outs, offset, step, 1, k, stride, b, PANEL_BYTES, start, 0, 0)


def conv2d_weight_gradient(grad, x, window, scheme, groups=1):
    """As in direct.py: for each channel and filter, from the squares of x and those of grad."""
    (top, _), (left, _) = window.padding
    (n, f, *size), r = grad.shape, scheme.taps
    c, panels = x.shape[1] // groups, whole_panels(x, f, groups)
    squares = Squares.of(size, scheme.outputs, top, left)
    total = n * squares.down * squares.across
    parts = max(1, min(UNITS // panels, total // LEAST))
    # Twice the chunk: a map adds to r * r taps, which crowd the cache, and should come seldom.
    chunk = max(LEAST, 2 * CHUNK_BYTES // (scheme.points**2 * (c * x.itemsize + PANEL_BYTES)))
    out = np.zeros((parts, r, r, c, f), x.dtype)
    correlate(scheme, channels_last(x), channels_last(grad), squares, Squares.of(size, scheme.outputs), chunk,
              np.zeros(max(x.shape[1], f, panel_width(x)), x.dtype), room(scheme, chunk * c * x.itemsize),
              room(scheme, chunk * PANEL_BYTES), room(scheme, BLOCK * PANEL_BYTES), out)
    return (out[0] if parts == 1 else out.sum(0)).transpose(3, 2, 0, 1)


@kernel
def correlate(thread, threads, scheme, x, grad, squares, grad_squares, chunk, zeros, v, z, products, out):
    """x (N, H, W, C), grad (N, OH, OW, F)  ->  out (parts, r, r, C/groups, F)

    A unit of work is a panel of a group's F, for one part.
    """
    c = out.shape[3]
    groups = x.shape[3] // c
    row, size = c * x.itemsize, grad.shape[3] // groups * grad.itemsize
    total, parts = len(x) * squares.down * squares.across, len(out)
    panels = (size + PANEL_BYTES - 1) // PANEL_BYTES
    units = parts * groups * panels
    unit, end = thread * units // threads, (thread + 1) * units // threads
    while unit < end:
        part, group, panel = unit // (groups * panels), unit // panels % groups, unit % panels
        last = min(panels, panel + end - unit)
        unit += last - panel
        stop = (part + 1) * total // parts
        for first in range(part * total // parts, stop, chunk):
            count = min(chunk, stop - first)
            transform_input(scheme, x, squares, first, count, group * row, row, zeros, v[thread])
            for done in range(panel * PANEL_BYTES, last * PANEL_BYTES, PANEL_BYTES):
                begin, wanted = group * size + done, min(PANEL_BYTES, size - done)
                transform_gradient(scheme, grad, grad_squares, first, count, begin, wanted, zeros, z[thread])
                for i in range(0, c, BLOCK):
                    rows = min(BLOCK, c - i)
                    multiply(x, v[thread], i * x.itemsize, x.itemsize, rows, row, count, z[thread], wanted, zeros,
                             products[thread])
                    add_to_filters(scheme, products[thread], i, rows, begin, wanted, out[part])
