"""Images as squares of pixels, and their way into Winograd's transformed numbers and back.

An output image is cut into squares of m x m pixels. To a square of the output belong the n x n pixels of the input,
n = m + r - 1, that its windows of r x r pixels see. Transformed, a square is one number for each of n**2 positions, and
for each channel. The functions here are parts of the kernels in `winograd.py`; the maps themselves, and the schemes,
which say what m, r and n are, stand in `winograd_maps.py`.

Transformed numbers are kept as bytes, (positions, bytes), with GAP bytes more than needed for each position: positions
that are a power of 2 apart would all fall into the same lines of the cache.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.convolution.winograd_transforms import (
    add_filter_gradient,
    filter_map,
    gradient_map,
    input_map,
    output_map,
)
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

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
def transform_input(scheme, x, squares, first, count, begin, row, zeros, v):
    """Row t of v at each position = the transform of square first + t of the input x, t < count: a group of channels.

    The group begins `begin` bytes into a pixel, and is `row` bytes long, as are the rows of v.
    """
    table, targets = distances(scheme.points, x), addresses(v)
    for t in range(count):
        start, pixels = locate(table, scheme.points, first + t, squares, x, zeros.ctypes.data)
        for at in range(0, row, VECTOR_BYTES):
            input_map(scheme, x, pixels, start + begin + at, targets.ctypes.data, t * row + at)


@inner
def transform_gradient(scheme, grad, squares, first, count, begin, wanted, zeros, z):
    """Row t of z at each position = the transform of square first + t of the output's gradient, a panel of channels.

    The panel begins `begin` bytes into a pixel, `wanted` bytes of it count, and its rows are PANEL_BYTES apart.
    """
    table, targets = distances(scheme.outputs, grad), addresses(z)
    for t in range(count):
        start, pixels = locate(table, scheme.outputs, first + t, squares, grad, zeros.ctypes.data)
        for at in range(0, wanted, VECTOR_BYTES):
            gradient_map(scheme, grad, pixels, start + begin + at, targets.ctypes.data, t * PANEL_BYTES + at)


@inner
def transform_filters(scheme, filters, turned, begin, wanted, u):
    """Row c of u at each position = the transform of filters[:, :, c], a panel of them; turned round if `turned`."""
    channels, row, taps = filters.shape[2], filters.shape[3] * filters.itemsize, scheme.taps**2
    sources, targets = np.empty(taps, np.int64), addresses(u)
    for tap in range(taps):
        sources[tap] = filters.ctypes.data + (taps - 1 - tap if turned else tap) * channels * row
    for c in range(channels):
        for at in range(0, wanted, VECTOR_BYTES):
            filter_map(scheme, filters, sources.ctypes.data, c * row + begin + at,
                       targets.ctypes.data, c * PANEL_BYTES + at)


@inner
def finish_output(scheme, products, squares, first, count, begin, wanted, bias, relu, out):
    """Squares first, first + 1, ... of `out`, a panel of channels = the map of the products, with bias and ReLU."""
    scratch = np.empty(PANEL_BYTES, np.uint8)                        # where pixels beyond the image are written
    sources, table = addresses(products), distances(scheme.outputs, out)
    for t in range(count):
        start, pixels = locate(table, scheme.outputs, first + t, squares, out, scratch.ctypes.data - begin)
        for at in range(0, wanted, VECTOR_BYTES):
            output_map(scheme, out, sources.ctypes.data, t * PANEL_BYTES + at, pixels, start + begin + at,
                       bias.ctypes.data + begin + at, relu)


@inner
def add_to_filters(scheme, products, first, count, begin, wanted, out):
    """Add the map of the products to channels first, first + 1, ... of `out` (r, r, C, F), a panel of filters."""
    channels, row, taps = out.shape[2], out.shape[3] * out.itemsize, scheme.taps**2
    sources, targets = addresses(products), np.empty(taps, np.int64)
    for tap in range(taps):
        targets[tap] = out.ctypes.data + (tap * channels + first) * row + begin
    for c in range(count):
        for at in range(0, wanted, VECTOR_BYTES):
            add_filter_gradient(scheme, out, sources.ctypes.data, c * PANEL_BYTES + at,
                                targets.ctypes.data, c * row + at)
