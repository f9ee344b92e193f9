"""Images as Winograd tiles: their transforms to frequencies, and back.

The output is cut into tiles of m x m pixels. An output tile belongs to an input tile of n x n pixels, n = m + r - 1,
which holds all of its windows of r x r pixels. Neighbouring input tiles overlap by r - 1. F(2 x 2, 3 x 3):

    input tile       . . . .          B' d B       . . . .        n x n frequencies, for each channel;
    n = 4            . o o .         ------->      . . . .        those of all tiles at one frequency
                     . o o .                       . . . .        are the rows of a matrix
                     . . . .                       . . . .
    o: output tile, m = 2, in the middle of its windows of r = 3

These matrices lie as `llvm/tile_product.py` reads them: A in blocks of a vector of channels, B and C in panels of one
or two vectors of filters. Each frequency is a row of a scratch array (n * n, bytes), with GAP bytes more than needed:
frequencies that lie a power of 2 apart would all fall into the same cache sets.

The last vector of channels or filters may begin earlier, so that it is whole; some then occur twice. Twice as columns,
they are computed twice. As elements of a sum they must count once: the filters at the second place are zeros.
"""

from typing import NamedTuple

from minidl.kernels.cpu.convolution.winograd_transforms import (
    transform_filter,
    transform_gradient,
    transform_input,
    transform_products,
    transform_sums,
)
from minidl.kernels.cpu.llvm.matrix_map import Inside, Pixels
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES
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
    """`count` neighbours from `first` on: tiles of all images, or bytes of a pixel's channels."""

    first: int
    count: int


@inner
def panel_bytes(panel):
    """The bytes of a row of a panel: of one vector, or two."""
    return ceil_div(panel.count, VECTOR_BYTES) * VECTOR_BYTES


@inner
def whole_vector(start, channels):
    """Where the vector of channels at `start` begins: before it if fewer are left, so that some occur twice."""
    return min(start, channels.count - VECTOR_BYTES)


@inner
def locate(image, grid, tile):
    """(The address of a tile's first pixel, its row, its column) in images (N, H, W, C)."""
    _, h, w, c = image.shape
    row = tile // grid.across
    top = row % grid.down * grid.m - grid.top
    left = tile % grid.across * grid.m - grid.left
    return image.ctypes.data + ((row // grid.down * h + top) * w + left) * c * image.itemsize, top, left


@inner
def pixels_of(image, address):
    """The pixels of an image from an address on."""
    column = image.shape[3] * image.itemsize
    return Pixels(address, image.shape[2] * column, column)


@inner
def frequencies(scheme, array, start):
    """The frequencies of one vector, `start` bytes from the first."""
    return Pixels(array.ctypes.data + start, scheme.n * array.strides[0], array.strides[0])


@inner
def locate_next(image, grid, tiles, t, stop):
    """The distance in bytes from a tile to the one that comes in its place, t, in the next tiles; 0 from `stop` on."""
    here, there = tiles.first + t, tiles.first + tiles.count + t
    return locate(image, grid, there)[0] - locate(image, grid, here)[0] if there < stop else 0


@inner
def transform_inputs(scheme, x, grid, tiles, stop, channels, rows, blank, v):
    """Row t of v at each frequency = the transform of tile tiles.first + t of the input x, in some of its channels.

    stop   the next tiles, up to this one, are prefetched;  rows: of v in a block
    blank  a vector of zeros, for pixels beyond the image
    """
    _, h, w, _ = x.shape
    for t in range(tiles.count):
        first, top, left = locate(x, grid, tiles.first + t)
        inside = Inside(-top, h - top, -left, w - left, blank.ctypes.data)
        ahead = locate_next(x, grid, tiles, t, stop)
        for start in range(0, channels.count, VECTOR_BYTES):
            transform_input(scheme, x, pixels_of(x, first + channels.first + whole_vector(start, channels)),
                            frequencies(scheme, v, start * rows + t * VECTOR_BYTES), inside, ahead)


@inner
def transform_gradients(scheme, grad, grid, tiles, stop, panel, blank, z):
    """Row t of z at each frequency = the transform of tile tiles.first + t of the output's gradient, in one panel."""
    _, h, w, _ = grad.shape
    for t in range(tiles.count):
        first, top, left = locate(grad, grid, tiles.first + t)
        inside = Inside(-top, h - top, -left, w - left, blank.ctypes.data)
        ahead = locate_next(grad, grid, tiles, t, stop)
        for start in range(0, panel.count, VECTOR_BYTES):
            transform_gradient(scheme, grad, pixels_of(grad, first + panel.first + whole_vector(start, panel)),
                               frequencies(scheme, z, t * panel_bytes(panel) + start), inside, ahead)


@inner
def transform_filters(scheme, filters, rotated, depth, panel, u):
    """Rows of u at each frequency = the transforms of filters (r, r, C, F) in a panel, after a half turn if `rotated`.

    A row for each channel of each block; of a channel that occurs twice, the second is 0.
    """
    r, c, row = scheme.r, filters.shape[2], filters.shape[3] * filters.itemsize
    channels, lanes, sign = Span(0, c * filters.itemsize), VECTOR_BYTES // filters.itemsize, -1 if rotated else 1
    first_tap = filters.ctypes.data + ((r * r - 1) * c * row if rotated else 0)
    width = panel_bytes(panel)
    for k in range(ceil_div(depth.count, VECTOR_BYTES) * lanes):
        start = depth.first + k // lanes * VECTOR_BYTES
        channel = whole_vector(start, channels) // filters.itemsize + k % lanes
        if channel * filters.itemsize < start:
            for e in range(len(u)):
                u[e, k * width:(k + 1) * width] = 0
        else:
            for at in range(0, panel.count, VECTOR_BYTES):
                source = first_tap + channel * row + panel.first + whole_vector(at, panel)
                transform_filter(scheme, filters, Pixels(source, sign * r * c * row, sign * c * row),
                                 frequencies(scheme, u, k * width + at))


@inner
def finish_outputs(scheme, products, grid, tiles, panel, bias, relu, streaming, scratch, out):
    """Some tiles of `out`, in one panel, = the transform of the rows of the products, with bias and ReLU.

    scratch    for pixels beyond the image;  streaming: 1 to store past the caches
    """
    _, h, w, _ = out.shape
    width = panel_bytes(panel)
    ahead = 0 if streaming else scheme.m * out.strides[2]                       # the next tile
    for t in range(tiles.count):
        first, top, left = locate(out, grid, tiles.first + t)
        inside = Inside(-top, h - top, -left, w - left, scratch.ctypes.data)
        for start in range(0, panel.count, VECTOR_BYTES):
            channel = panel.first + whole_vector(start, panel)
            transform_products(scheme, out, frequencies(scheme, products, t * width + start),
                               pixels_of(out, first + channel), inside, ahead, bias.ctypes.data + channel, relu)


@inner
def finish_filters(scheme, products, depth, panel, fresh, out):
    """`out` (r, r, C, F), in one panel of filters, (+)= the transform of the products: a row for each channel.

    depth    bytes of a pixel's channels, from a whole vector on. Of a channel that occurs twice, the first row counts.
    fresh    1: they are not added to what `out` holds
    """
    c, row = out.shape[2], out.shape[3] * out.itemsize
    lanes, width = VECTOR_BYTES // out.itemsize, panel_bytes(panel)
    before = depth.first // out.itemsize
    for channel in range(before, min(c, before + depth.count // out.itemsize)):
        k = channel - before
        if channel // lanes * lanes + lanes > c:                            # in the last block, which begins earlier
            k += channel // lanes * lanes + lanes - c
        for at in range(0, panel.count, VECTOR_BYTES):
            target = out.ctypes.data + channel * row + panel.first + at
            transform_sums(scheme, out, frequencies(scheme, products, k * width + at),
                           Pixels(target, scheme.r * c * row, c * row), fresh)
