"""Winograd convolution: filters of 3x3 or 5x5, stride 1, with a quarter to four ninths of the multiplications.

Inputs, filters and gradients are transformed tile by tile (`winograd_tiles.py`). At each frequency e, convolution is a
matrix product (`llvm/tile_product.py`):

    output            M[e, t, f] = sum over c of V[e, t, c] * U[e, c, f]      V: tiles t of x,  U: filters
    input gradient    the same, over tiles of the gradient, with the filters rotated by 180 degrees
    weight gradient   M[e, c, f] = sum over t of V[e, t, c] * Z[e, t, f]      Z: tiles of the gradient

Each thread works on its own, chunk by chunk. It transforms a few tiles, multiplies panel by panel of filters, and
immediately transforms the products back. Only x and the output are in memory as a whole:

    x    ......[chunk][next]......                  next: prefetched while the chunk is transformed
                  |
                  V  --- * U, panel 0 --->  M  --->  out    (channels of panel 0)
                     --- * U, panel 1 --->  M  --->  out    (channels of panel 1)

With few channels, the products of a tile take no longer than its transforms. Then V and M must stay in the first
caches, so chunks are short; and so a thread keeps the filters that it has transformed, if they are small enough, or it
would do so again for every chunk. In the weight gradient it keeps the sums M instead. With many channels neither fits
in a cache, and chunks are as long as the cache allows. The filters are then transformed for some of the channels at a
time, and multiplied while they are in the cache; the products add up in M.

`convolution/__init__.py` chooses the scheme, and ensures that each panel of channels or filters has a vector at
least; those of a group are whole vectors, except channels of the only group.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.convolution.winograd_tiles import (
    GAP,
    Span,
    TileGrid,
    finish_filters,
    finish_outputs,
    panel_bytes,
    transform_filters,
    transform_gradients,
    transform_inputs,
)
from minidl.kernels.cpu.convolution.winograd_transforms import Scheme
from minidl.kernels.cpu.gemm.packing import bias_row, panel_width
from minidl.kernels.cpu.layout import channels_last, logical, transposed
from minidl.kernels.cpu.llvm.tile_product import multiply_channels, multiply_tiles
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import LOW_MR, MR, NR_BYTES, VECTOR_BYTES
from minidl.kernels.cpu.runtime.threads import thread_count
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, ceil_div, share

CHUNK_BYTES = 2**20        # of transformed tiles, about: they should stay in a core's caches
MIN_CHUNK = 5 * MR         # tiles: fewer would not repay the transform of the filters
SHORT_BYTES = 2**19        # of transformed tiles, if a thread keeps the filters
SHORT_CHUNK = 2 * MR       # tiles, at most, then
KEPT_BYTES = 3 * 2**20     # of transformed filters that a thread keeps, at most
FILTER_BYTES = 2**19       # of transformed filters that are multiplied at a time, if they are not kept
KEPT_SUMS = 2**18          # bytes of the sums of a weight gradient that a thread keeps, at most
SLAB = 24 * 1024           # bytes of a panel of filters at one frequency that stay in the L1 cache
STREAMED = 2**23           # bytes: outputs from this size on leave the caches before they are read again


class Plan(NamedTuple):
    """What the kernels need to know besides arrays; `keeps`, `rotated`, `relu` and `streaming` are 0 or 1."""

    scheme: Scheme
    grid: TileGrid          # over x
    out_grid: TileGrid      # over the output
    chunk: int              # tiles
    keeps: int              # transformed filters, or sums, for all chunks
    depth: int              # bytes of a pixel's channels that are multiplied at a time
    rotated: int = 0
    relu: int = 0
    streaming: int = 0


class Workspace(NamedTuple):
    """Scratch memory of each thread for frequencies, uint8 (threads, n * n, bytes): of A, of B, and of C.

    One of them holds each panel that the thread keeps: (threads, panels, n * n, bytes).
    """

    tiles: np.ndarray
    panels: np.ndarray
    products: np.ndarray


def scratch(scheme, size, *panels):
    """Scratch memory of each thread for frequencies of this size in bytes."""
    return empty((thread_count(), *panels, scheme.n**2, size + GAP), np.uint8)


def conv2d(x, weight, bias, window, scheme, relu=False):
    """As in plain, with a Scheme for filters of that size; the shapes give the number of groups."""
    (top, _), (left, _) = window.padding
    out = empty((len(x), *window.out(x.shape[2:]), len(weight)), x.dtype)
    run_convolve(channels_last(x), taps_first(weight), bias, (top, left), scheme, out, relu=relu)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window, scheme, groups=1, bias=None):
    """The convolution of grad with the rotated filters; its padding is r - 1 less that of x."""
    ((top, _), (left, _)), r = window.padding, scheme.r
    (n, c, h, w), (f, cg) = shape, weight.shape[:2]
    out = empty((n, h, w, c), grad.dtype)
    filters = transposed(taps_first(weight).reshape(r * r, cg, f)).reshape(r * r, groups, f // groups, cg)
    filters = np.ascontiguousarray(filters.swapaxes(1, 2)).reshape(r, r, f // groups, c)
    run_convolve(channels_last(grad), filters, bias, (r - 1 - top, r - 1 - left), scheme, out, rotated=True)
    return logical(out)


def taps_first(weight):
    """Filters (F, C, r, r) as (r, r, C, F), C-contiguous."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def run_convolve(x, filters, bias, pads, scheme, out, rotated=False, relu=False):
    """Plan `convolve`, and run it. x (N, H, W, C), filters (r, r, C/groups, F), bias (F,) or None"""
    c, f = filters.shape[2:]
    grid, out_grid = TileGrid.over(out.shape[1:3], scheme.m, *pads), TileGrid.over(out.shape[1:3], scheme.m)
    panels, row = panels_in_all(x, f, x.shape[3] // c), ceil_div(c * x.itemsize, VECTOR_BYTES) * VECTOR_BYTES
    tiles, size = len(x) * grid.down * grid.across, scheme.n**2 * row
    chunk = chunk_length(tiles, size, panels)
    keeps = panels * size // x.itemsize * NR_BYTES <= KEPT_BYTES and chunk < tiles
    if keeps:
        chunk = min(chunk, max(MR, min(SHORT_CHUNK, SHORT_BYTES // size)))
    depth = row if keeps else channels_at_once(scheme, x, row)
    workspace = Workspace(scratch(scheme, (chunk + MR) * row),
                          scratch(scheme, depth // x.itemsize * NR_BYTES, panels if keeps else 1),
                          scratch(scheme, (chunk + MR) * NR_BYTES))
    streaming = out.nbytes >= STREAMED and f * x.itemsize % VECTOR_BYTES == 0               # to aligned addresses only
    plan = Plan(scheme, grid, out_grid, chunk, int(keeps), depth, int(rotated), int(relu), int(streaming))
    convolve(plan, x, filters, bias_row(x, bias, f), workspace, out)


def panels_in_all(like, f, groups):
    """The number of panels of f filters; each group has panels of its own."""
    return groups * ceil_div(f, groups * panel_width(like))


def chunk_length(tiles, size, panels):
    """How many tiles of `size` bytes a chunk has: chunks are of equal length, and all threads should have work."""
    chunks, threads = ceil_div(tiles, max(MIN_CHUNK, CHUNK_BYTES // size)), thread_count()
    while (chunks * panels < 3 * threads or chunks * panels % threads) and tiles // (chunks + 1) >= MIN_CHUNK:
        chunks += 1
    return ceil_div(tiles, chunks)


def channels_at_once(scheme, like, row):
    """The bytes of a pixel's channels for which a panel of filters takes FILTER_BYTES; `row` bytes at most."""
    vector = scheme.n**2 * VECTOR_BYTES // like.itemsize * NR_BYTES
    return min(row, max(1, FILTER_BYTES // vector) * VECTOR_BYTES)


@kernel
def convolve(thread, threads, plan, x, filters, bias, workspace, out):
    """x (N, H, W, C), filters (r, r, C/groups, F), bias (F,)  ->  out (N, OH, OW, F)

    A work unit is a panel of a group's filters, for one chunk of tiles.
    """
    v, kept, products = workspace.tiles[thread], workspace.panels[thread], workspace.products[thread]
    blank, scratch = np.zeros(VECTOR_BYTES, np.uint8), np.empty(VECTOR_BYTES, np.uint8)
    known = np.zeros(len(kept), np.uint8)
    c = filters.shape[2]
    groups = x.shape[3] // c
    row, group_bytes = c * x.itemsize, out.shape[3] // groups * out.itemsize
    tile_count = len(x) * plan.grid.down * plan.grid.across
    panels = ceil_div(group_bytes, NR_BYTES)
    units = share(thread, threads, ceil_div(tile_count, plan.chunk) * groups * panels)
    unit = units.start
    while unit < units.stop:
        first, group, panel = unit // (groups * panels) * plan.chunk, unit // panels % groups, unit % panels
        tiles = Span(first, min(plan.chunk, tile_count - first))
        last_panel = min(panels, panel + units.stop - unit)
        transform_inputs(plan.scheme, x, plan.grid, tiles, tile_count, Span(group * row, row), plan.chunk + MR, blank,
                         v)
        unit += last_panel - panel
        for p in range(panel, last_panel):
            columns, place = panel_span(p, group, group_bytes), (group * panels + p) % len(kept)
            for begin in range(0, row, plan.depth):
                depth = Span(begin, min(plan.depth, row - begin))
                if not (plan.keeps and known[place]):
                    transform_filters(plan.scheme, filters, plan.rotated, depth, columns, kept[place])
                multiply(x, v, tiles.count, plan.chunk + MR, kept[place], columns, depth, products)
            known[place] = 1
            finish_outputs(plan.scheme, products, plan.out_grid, tiles, columns, bias, plan.relu, plan.streaming,
                           scratch, out)


@inner
def panel_span(panel, group, group_bytes):
    """The bytes of a pixel in one panel of one group's channels."""
    begin = panel * NR_BYTES
    return Span(group * group_bytes + begin, min(NR_BYTES, group_bytes - begin))


@inner
def multiply(like, v, count, chunk, u, columns, depth, products):
    """products[e] (+)= V[e] @ U[e] at each frequency e, for `depth` of the channels and a panel of U.

    V has `count` rows, in blocks of `chunk`; U those of the channels of `depth` alone.
    """
    width, block_bytes, blocks = panel_bytes(columns), chunk * VECTOR_BYTES, ceil_div(depth.count, VECTOR_BYTES)
    block_rows = VECTOR_BYTES // like.itemsize * width
    slab = max(1, SLAB // block_rows)
    low = int(ceil_div(count, LOW_MR) * LOW_MR < ceil_div(count, MR) * MR)
    height = LOW_MR if low else MR
    for e in range(len(v)):
        for block in range(0, blocks, slab):
            a = v[e].ctypes.data + depth.first * chunk + block * block_bytes
            for t in range(0, count, height):
                multiply_tiles(like, low, int(width == VECTOR_BYTES), a + t * VECTOR_BYTES, block_bytes,
                               min(slab, blocks - block), u[e].ctypes.data + block * block_rows,
                               products[e].ctypes.data + t * width, int(depth.first + block == 0))


def conv2d_weight_gradient(grad, x, window, scheme, groups=1):
    """dw, for each channel and filter, from the tiles of x and those of grad."""
    (n, f, *size), c, r = grad.shape, x.shape[1] // groups, scheme.r
    (top, _), (left, _) = window.padding
    grid, out_grid = TileGrid.over(size, scheme.m, top, left), TileGrid.over(size, scheme.m)
    panels, row = panels_in_all(x, f, groups), ceil_div(c * x.itemsize, VECTOR_BYTES) * VECTOR_BYTES
    tiles, sums = n * grid.down * grid.across, row // x.itemsize * NR_BYTES
    splits = max(1, min(REDUCTION_SPLITS // panels, tiles // MIN_CHUNK))
    keeps = panels * scheme.n**2 * sums <= KEPT_SUMS
    # Chunks of x and grad together take twice CHUNK_BYTES: each costs a pass over all filters, which crowd the cache.
    chunk = SHORT_CHUNK if keeps else max(MIN_CHUNK, 2 * CHUNK_BYTES // (scheme.n**2 * (row + NR_BYTES)))
    depth = row if keeps else channels_at_once(scheme, x, row)
    workspace = Workspace(scratch(scheme, chunk * row), scratch(scheme, chunk * NR_BYTES),
                          scratch(scheme, depth // x.itemsize * NR_BYTES, panels if keeps else 1))
    out = empty((splits, r, r, c, f), x.dtype)
    plan = Plan(scheme, grid, out_grid, chunk, int(keeps), depth)
    correlate(plan, channels_last(x), channels_last(grad), workspace, out)
    return (out[0] if len(out) == 1 else out.sum(0)).transpose(3, 2, 0, 1)


@kernel
def correlate(thread, threads, plan, x, grad, workspace, out):
    """x (N, H, W, C), grad (N, OH, OW, F)  ->  out (splits, r, r, C/groups, F)

    A work unit is a panel of a group's filters, for one split of the tiles.
    """
    v, z, kept = workspace.tiles[thread], workspace.panels[thread], workspace.products[thread]
    blank = np.zeros(VECTOR_BYTES, np.uint8)
    splits, c = len(out), out.shape[3]
    groups = x.shape[3] // c
    row, group_bytes = c * x.itemsize, grad.shape[3] // groups * grad.itemsize
    tile_count = len(x) * plan.grid.down * plan.grid.across
    panels = ceil_div(group_bytes, NR_BYTES)
    units = share(thread, threads, splits * groups * panels)
    unit = units.start
    while unit < units.stop:
        split, group, panel = unit // (groups * panels), unit // panels % groups, unit % panels
        last_panel = min(panels, panel + units.stop - unit)
        unit += last_panel - panel
        start, stop = split * tile_count // splits, (split + 1) * tile_count // splits
        for first in range(start, stop, plan.chunk):
            tiles = Span(first, min(plan.chunk, stop - first))
            transform_inputs(plan.scheme, x, plan.grid, tiles, stop, Span(group * row, row), plan.chunk, blank, v)
            for p in range(panel, last_panel):
                columns, sums = panel_span(p, group, group_bytes), kept[(group * panels + p) % len(kept)]
                transform_gradients(plan.scheme, grad, plan.out_grid, tiles, stop, columns, blank, z)
                fresh = int(not plan.keeps or first == start)
                for begin in range(0, row, plan.depth):
                    depth = Span(begin, min(plan.depth, row - begin))
                    multiply_gradient(x, v, plan.chunk, z, tiles.count, columns, depth, fresh, sums)
                    if not plan.keeps or first + plan.chunk >= stop:
                        finish_filters(plan.scheme, sums, depth, columns, int(plan.keeps or first == start), out[split])


@inner
def multiply_gradient(like, v, chunk, z, count, columns, depth, fresh, sums):
    """sums[e] = or, unless `fresh`, += the transpose of V[e] @ Z[e] at each frequency e, for a panel of Z's columns.

    V has `count` rows, in blocks of `chunk`; sums those of the channels of `depth` alone.
    """
    width, single = panel_bytes(columns), int(columns.count <= VECTOR_BYTES)
    for e in range(len(v)):
        a = v[e].ctypes.data + depth.first * chunk
        for block in range(ceil_div(depth.count, VECTOR_BYTES)):
            multiply_channels(like, single, a + block * chunk * VECTOR_BYTES, z[e].ctypes.data,
                              sums[e].ctypes.data + block * (VECTOR_BYTES // like.itemsize) * width, count, fresh)
