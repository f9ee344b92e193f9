"""Images as Winograd tiles: their transforms to frequencies, and back.

The output is cut into tiles of m x m pixels. An output tile belongs to an input tile of n x n pixels, n = m + r - 1,
which holds all of its windows of r x r pixels. Neighbouring input tiles overlap by r - 1. F(2 x 2, 3 x 3):

    input tile       . . . .          B' d B       . . . .        n x n frequencies, for each channel;
    n = 4            . o o .         ------->      . . . .        those of all tiles at one frequency
                     . o o .                       . . . .        are the rows of a matrix
                     . . . .                       . . . .
    o: output tile, m = 2, in the middle of its windows of r = 3

Frequencies are stored as bytes, (n * n, bytes), with GAP bytes more than needed for each: frequencies that lie a power
of 2 apart would all fall into the same cache sets. The kernels in `winograd.py` call these functions, which loop over
the vectors of a tile's channels; `winograd_transforms.py` has the transforms of one vector.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.convolution.winograd_transforms import (
    add_filter_gradient,
    transform_filter,
    transform_gradient,
    transform_input,
    transform_products,
)
from minidl.kernels.cpu.llvm.matrix_map import Pixels
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import NR_BYTES, VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import ceil_div

GAP = 64


class TileGrid(NamedTuple):
    """`down` x `across` tiles of an image, m pixels apart.

    The first begins `top` pixels above the image, and `left` pixels to its left.
    """

    m: int
    down: int
    across: int
    top: int
    left: int

    @classmethod
    def over(cls, size, m, top=0, left=0):
        """The tiles that cover an output of `size` (OH, OW)."""
        return cls(m, ceil_div(size[0], m), ceil_div(size[1], m), top, left)


class Span(NamedTuple):
    """`count` neighbours from `first` on: tiles of all images, bytes of a pixel's channels, or channels."""

    first: int
    count: int


@inner
def whole_vector(start, channels):
    """Where the vector of channels at `start` begins: before it if fewer are left, so that some are computed twice."""
    return min(start, channels.count - VECTOR_BYTES)


@inner
def frequency_pointers(frequencies):
    """The address of each frequency."""
    table = np.empty(len(frequencies), np.int64)
    for e in range(len(frequencies)):
        table[e] = frequencies.ctypes.data + e * frequencies.strides[0]
    return table


@inner
def pixel_offsets(side, image):
    """Two rows: the byte offsets of side * side pixels from the first, in an image (N, H, W, C); and a spare row."""
    pixel, row = image.shape[3] * image.itemsize, image.shape[2] * image.shape[3] * image.itemsize
    table = np.empty((2, side * side), np.int64)
    for i in range(side):
        for j in range(side):
            table[0, i * side + j] = i * row + j * pixel
    return table


@inner
def locate_tile(offsets, side, tile, grid, image, outside):
    """(The address of a tile's first pixel, that of a table of offsets from there to its pixels).

    offsets   the `pixel_offsets` of the image. The spare row is filled for a tile that the border of the image cuts:
              pixels beyond it are at the address `outside`
    """
    _, h, w, c = image.shape
    top = tile // grid.across % grid.down * grid.m - grid.top
    left = tile % grid.across * grid.m - grid.left
    first = image.ctypes.data + ((tile // (grid.down * grid.across) * h + top) * w + left) * c * image.itemsize
    if top >= 0 and left >= 0 and top + side <= h and left + side <= w:
        return first, offsets.ctypes.data
    for i in range(side):
        for j in range(side):
            inside = 0 <= top + i < h and 0 <= left + j < w
            offsets[1, i * side + j] = offsets[0, i * side + j] if inside else outside - first
    return first, offsets[1].ctypes.data


@inner
def transform_inputs(scheme, x, grid, tiles, channels, zeros, v):
    """Row t of v at each frequency = the transform of tile tiles.first + t of the input x, in some of its channels.

    The rows of v are channels.count bytes apart.
    """
    offsets, targets = pixel_offsets(scheme.n, x), frequency_pointers(v)
    for t in range(tiles.count):
        first, pixels = locate_tile(offsets, scheme.n, tiles.first + t, grid, x, zeros.ctypes.data)
        for start in range(0, channels.count, VECTOR_BYTES):
            at = whole_vector(start, channels)
            transform_input(scheme, x, Pixels(pixels, first + channels.first + at),
                            Pixels(targets.ctypes.data, t * channels.count + at))


@inner
def transform_gradients(scheme, grad, grid, tiles, panel, zeros, z):
    """Row t of z at each frequency = the transform of tile tiles.first + t of the output's gradient, in one panel.

    The rows of z are NR_BYTES apart.
    """
    offsets, targets = pixel_offsets(scheme.m, grad), frequency_pointers(z)
    for t in range(tiles.count):
        first, pixels = locate_tile(offsets, scheme.m, tiles.first + t, grid, grad, zeros.ctypes.data)
        for at in range(0, panel.count, VECTOR_BYTES):
            transform_gradient(scheme, grad, Pixels(pixels, first + panel.first + at),
                               Pixels(targets.ctypes.data, t * NR_BYTES + at))


@inner
def transform_filters(scheme, filters, rotated, panel, u):
    """Row c of u at each frequency = the transform of filters[:, :, c] in one panel, after a half turn if `rotated`."""
    channels, row, taps = filters.shape[2], filters.shape[3] * filters.itemsize, scheme.r**2
    sources, targets = np.empty(taps, np.int64), frequency_pointers(u)
    for tap in range(taps):
        sources[tap] = filters.ctypes.data + (taps - 1 - tap if rotated else tap) * channels * row
    for c in range(channels):
        for start in range(0, panel.count, VECTOR_BYTES):
            at = whole_vector(start, panel)
            transform_filter(scheme, filters, Pixels(sources.ctypes.data, c * row + panel.first + at),
                             Pixels(targets.ctypes.data, c * NR_BYTES + at))


@inner
def finish_outputs(scheme, products, grid, tiles, panel, bias, relu, out):
    """Some tiles of `out`, in one panel, = the transform of the rows of the products, with bias and ReLU."""
    scratch = np.empty(NR_BYTES, np.uint8)                           # for pixels beyond the image
    sources, offsets = frequency_pointers(products), pixel_offsets(scheme.m, out)
    for t in range(tiles.count):
        first, pixels = locate_tile(offsets, scheme.m, tiles.first + t, grid, out, scratch.ctypes.data - panel.first)
        for start in range(0, panel.count, VECTOR_BYTES):
            at = whole_vector(start, panel)
            transform_products(scheme, out, Pixels(sources.ctypes.data, t * NR_BYTES + at),
                               Pixels(pixels, first + panel.first + at), bias.ctypes.data + panel.first + at, relu)


@inner
def add_to_filters(scheme, products, channels, panel, out):
    """Add the transform of the rows of the products to some channels of `out` (r, r, C, F), in one panel of filters."""
    c, row, taps = out.shape[2], out.shape[3] * out.itemsize, scheme.r**2
    sources, targets = frequency_pointers(products), np.empty(taps, np.int64)
    for tap in range(taps):
        targets[tap] = out.ctypes.data + (tap * c + channels.first) * row + panel.first
    for i in range(channels.count):
        for at in range(0, panel.count, VECTOR_BYTES):
            add_filter_gradient(scheme, out, Pixels(sources.ctypes.data, i * NR_BYTES + at),
                                Pixels(targets.ctypes.data, i * row + at))
