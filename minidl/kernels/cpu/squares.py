"""Images as squares of pixels, and their way into Winograd's transformed numbers and back.

An output image is cut into squares of m x m pixels. To a square of the output belong the (m + 2) x (m + 2) pixels of
the input that its 3x3 windows see. Transformed, a square is one number for each of (m + 2)**2 positions, and for each
channel. The functions here are parts of the kernels in `winograd.py`; the maps themselves are in `winograd_maps.py`.

Transformed numbers are kept as bytes, (positions, bytes), with GAP bytes more than needed for each position: positions
that are a power of 2 apart would all fall into the same lines of the cache.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.compile import inner
from minidl.kernels.cpu.target import VECTOR_BYTES
from minidl.kernels.cpu.winograd_maps import add_filter_gradient, filter_map, gradient_map, input_map, output_map

GAP = 64
PANEL_BYTES = 2 * VECTOR_BYTES


class Squares(NamedTuple):
    """How images are cut: `down` x `across` squares, m pixels apart, the first begins above and left of the image."""

    m: int
    down: int
    across: int
    above: int
    left: int

    @classmethod
    def of(cls, size, m, above=0, left=0):
        """Squares that cover an output of `size` (OH, OW)."""
        return cls(m, -(-size[0] // m), -(-size[1] // m), above, left)


@inner
def addresses(of):
    """Where each position of the transformed numbers `of` begins."""
    table = np.empty(len(of), np.int64)
    for position in range(len(of)):
        table[position] = of.ctypes.data + position * of.strides[0]
    return table


@inner
def distances(side, image):
    """How far the side*side pixels of a square are from its first, in an image (N, H, W, C); and a table like that."""
    pixel, line = image.shape[3] * image.itemsize, image.shape[2] * image.shape[3] * image.itemsize
    table = np.empty((2, side * side), np.int64)
    for i in range(side):
        for j in range(side):
            table[0, i * side + j] = i * line + j * pixel
    return table


@inner
def locate(table, side, square, squares, image, outside):
    """(The address of a square's first pixel, that of a table: how far the other pixels are from there).

    table   the `distances` of the image; its second line is for squares that the image's border cuts: pixels beyond
            it are at the address `outside`
    """
    _, h, w, c = image.shape
    pixel = c * image.itemsize
    top = square // squares.across % squares.down * squares.m - squares.above
    left = square % squares.across * squares.m - squares.left
    start = image.ctypes.data + ((square // (squares.down * squares.across) * h + top) * w + left) * pixel
    if top >= 0 and left >= 0 and top + side <= h and left + side <= w:
        return start, table.ctypes.data
    for i in range(side):
        for j in range(side):
            within = 0 <= top + i < h and 0 <= left + j < w
            table[1, i * side + j] = table[0, i * side + j] if within else outside - start
    return start, table[1].ctypes.data


@inner
def transform_input(x, squares, first, count, zeros, v):
    """Row t of v at each position = the transform of square first + t of the input x, t < count."""
    row, side = x.shape[3] * x.itemsize, squares.m + 2
    table, targets = distances(side, x), addresses(v)
    for t in range(count):
        start, pixels = locate(table, side, first + t, squares, x, zeros.ctypes.data)
        for at in range(0, row, VECTOR_BYTES):
            input_map(squares.m, x, pixels, start + at, targets.ctypes.data, t * row + at)


@inner
def transform_gradient(grad, squares, first, count, begin, wanted, zeros, z):
    """Row t of z at each position = the transform of square first + t of the output's gradient, a panel of channels.

    The panel begins `begin` bytes into a pixel, `wanted` bytes of it count, and its rows are PANEL_BYTES apart.
    """
    table, targets = distances(squares.m, grad), addresses(z)
    for t in range(count):
        start, pixels = locate(table, squares.m, first + t, squares, grad, zeros.ctypes.data)
        for at in range(0, wanted, VECTOR_BYTES):
            gradient_map(squares.m, grad, pixels, start + begin + at, targets.ctypes.data, t * PANEL_BYTES + at)


@inner
def transform_filters(filters, turned, m, begin, wanted, u):
    """Row c of u at each position = the transform of filters[:, :, c], a panel of them; turned round if `turned`."""
    channels, row = filters.shape[2], filters.shape[3] * filters.itemsize
    sources, targets = np.empty(9, np.int64), addresses(u)
    for tap in range(9):
        sources[tap] = filters.ctypes.data + (8 - tap if turned else tap) * channels * row
    for c in range(channels):
        for at in range(0, wanted, VECTOR_BYTES):
            filter_map(m, filters, sources.ctypes.data, c * row + begin + at, targets.ctypes.data, c * PANEL_BYTES + at)


@inner
def finish_output(products, squares, first, count, begin, wanted, bias, relu, out):
    """Squares first, first + 1, ... of `out`, a panel of channels = the map of the products, with bias and ReLU."""
    scratch = np.empty(PANEL_BYTES, np.uint8)                        # where pixels beyond the image are written
    sources, table = addresses(products), distances(squares.m, out)
    for t in range(count):
        start, pixels = locate(table, squares.m, first + t, squares, out, scratch.ctypes.data - begin)
        for at in range(0, wanted, VECTOR_BYTES):
            output_map(squares.m, out, sources.ctypes.data, t * PANEL_BYTES + at, pixels, start + begin + at,
                       bias.ctypes.data + begin + at, relu)


@inner
def add_to_filters(products, m, first, count, begin, wanted, out):
    """Add the map of the products to channels first, first + 1, ... of `out` (3, 3, C, F), a panel of filters."""
    channels, row = out.shape[2], out.shape[3] * out.itemsize
    sources, targets = addresses(products), np.empty(9, np.int64)
    for tap in range(9):
        targets[tap] = out.ctypes.data + (tap * channels + first) * row + begin
    for c in range(count):
        for at in range(0, wanted, VECTOR_BYTES):
            add_filter_gradient(m, out, sources.ctypes.data, c * PANEL_BYTES + at, targets.ctypes.data, c * row + at)
