"""The input gradient of a convolution with few channels, such as a network's first.

A product that has the channels as its columns, as in `direct.py`, would leave most lanes of a vector empty. But what
one row of a window covers lies side by side in memory, KW * C numbers: so many columns has the product

    line y, pixels x * s ... x * s + KW - 1  +=  sum over o, i with o * s + i * d = y + top of  grad[o, x] @ weight[i]

which has a row for each place x of the window. Windows overlap, but every so many-th doesn't: a line is made in rounds,
each of which adds to what those before have left. Nothing is multiplied that lies outside of an image: for each line a
table knows the window rows that meet it. What falls beside the image is cut off in the end.
"""

import math

import numpy as np

from minidl.kernels.cpu.convolution.tap_tables import distances, reaching, remembered
from minidl.kernels.cpu.gemm.indirect import packed, sums
from minidl.kernels.cpu.gemm.matmul import copy_lines
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import TILE_ROWS, VECTOR_BYTES

EMPTY = 0.1        # of a tile's rows may be, at most: so many images are worked on together


def conv2d_input_gradient(grad, weight, shape, window, bias=None):
    """The gradient of conv2d by x, + bias (C,).   grad (N, F, OH, OW), weight (F, C, KH, KW)  ->  (N, C, H, W) = shape

    The columns of the window are neighbours: it has dilation 1 across.
    """
    (n, c, h, w), (f, _, kh, kw), (_, _, oh, ow) = shape, weight.shape, grad.shape
    (sh, sw), left = window.stride, window.padding[1][0]
    order, lines, apart = meetings(h, kh, sh, window.dilation[0], window.padding[0], oh)
    filters = packed(weight.transpose(2, 0, 3, 1)[order].reshape(kh, 1, f, 1, kw * c))
    rounds = min(ow, -(-kw // sw))
    start = np.zeros((max(left + w, (ow - 1) * sw + kw), c), grad.dtype)
    if bias is not None:
        start[:] = bias
    grad, out = channels_last(grad), empty((n, h, w, c), grad.dtype)
    steps = distances(1, range(kh), (0,), 0, apart * grad.strides[1], 0)
    spread(grad, lines, steps, filters.array, filters.panel, filters.row, kw * c, rounds, sw * c,
           images_together(n, ow, rounds), start.ravel(), left * c, out)
    return logical(out)


@remembered
def meetings(size, kernel, stride, dilation, pads, places):
    """How the window's rows meet the image's lines: (an order of the rows, a table, how far apart they meet grad).

    In that order the rows that meet a line follow each other. The table tells for each line which is the first of them,
    how many they are, and which row of grad the first one multiplies: int64 (size, 3). The next one multiplies the row
    so far below.
    """
    common = math.gcd(stride, dilation)
    order = sorted(range(kernel), key=lambda i: (i % (stride // common), -i))
    table = reaching(size, kernel, stride, dilation, pads, places).copy()
    table[:, 0] = [order.index(kernel - 1 - i) for i in table[:, 0]]
    return order, table, dilation // common


def images_together(n, places, rounds):
    """How many of n images to work on together, for the places of a round to fill tiles."""
    rows = max(1, -(-places // max(1, rounds)))                      # of one image
    return next(i for i in range(1, TILE_ROWS + 1) if i >= n or -i * rows % TILE_ROWS <= EMPTY * i * rows)


@kernel
def spread(thread, threads, grad, lines, steps, filters, panel, row, columns, rounds, step, together, start, left, out):
    """Add up in each line of `out` what the pixels of grad, times the filters, are to the windows that cover it.

    A thread makes the same line of some images together. A line begins as `start`, of which `left` numbers lie before
    the image; windows are `step` numbers apart.
    """
    n, oh, ow, f = grad.shape
    _, h, w, c = out.shape
    size, length = grad.itemsize, len(start)
    pixel, line, width = f * size, length * size, 2 * VECTOR_BYTES // size
    units = (n + together - 1) // together * h
    table, canvas = np.empty((2, TILE_ROWS), np.int64), np.empty((together + 1) * length, grad.dtype)
    from_a, to_c, drawn = table.ctypes.data, table.ctypes.data + TILE_ROWS * 8, canvas.ctypes.data
    for unit in range(thread * units // threads, (thread + 1) * units // threads):
        image, y = unit // h * together, unit % h
        some = min(together, n - image)
        tap, taps, o = lines[y, 0], lines[y, 1], lines[y, 2]
        source = grad.ctypes.data + (image * oh + o) * ow * pixel
        copy_lines(grad, start.ctypes.data, 0, together + 1, length, drawn, line)
        for first in range(rounds if taps > 0 else 0):
            i, x = 0, first
            while i < some:
                for m in range(TILE_ROWS):
                    if i < some:
                        table[0, m] = source + (i * oh * ow + x) * pixel
                        table[1, m] = drawn + i * line + x * step * size
                    else:                                        # any row of A, and nobody's row of C
                        table[0, m], table[1, m] = source, drawn + together * line
                    x += rounds
                    if x >= ow:
                        i, x = i + 1, first
                for j in range(0, columns, width):
                    b = filters.ctypes.data + j // width * panel + tap * f * row
                    sums(grad, from_a, to_c, j * size, steps.ctypes.data, taps, f, size, b, row, 0,
                         min(width, columns - j), 0)
        copy_lines(grad, drawn + left * size, line, some, w * c, out.ctypes.data + (image * h + y) * w * c * size,
                   h * w * c * size)
