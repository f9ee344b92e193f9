"""Winograd convolution: filters of 3x3 or 5x5, stride 1, with a quarter to four ninths of the multiplications.

Inputs, filters and gradients are transformed tile by tile (`winograd_tiles.py`). At each frequency e, convolution is a
matrix product, computed by the GEMM microkernel:

    output            M[e, t, f] = sum over c of V[e, t, c] * U[e, c, f]      V: tiles t of x,  U: filters
    input gradient    the same, over tiles of the gradient, with the filters rotated by 180 degrees
    weight gradient   M[e, c, f] = sum over t of V[e, t, c] * Z[e, t, f]      Z: tiles of the gradient

Each thread works on its own: it transforms a chunk of tiles that its cache can hold. Then, panel by panel of filters,
it transforms B, multiplies, and immediately transforms the products back. Only x and the output are in memory as a
whole. `convolution/__init__.py` chooses the scheme, and ensures that each panel of channels or filters has a vector at
least; those of a group are whole vectors, except channels of the only group.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.convolution.winograd_gemm import BLOCK_ROWS, RowsOfA, multiply
from minidl.kernels.cpu.convolution.winograd_tiles import (
    GAP,
    Span,
    TileGrid,
    add_to_filters,
    finish_outputs,
    transform_filters,
    transform_gradients,
    transform_inputs,
)
from minidl.kernels.cpu.convolution.winograd_transforms import Scheme
from minidl.kernels.cpu.gemm.packing import bias_row, panel_width
from minidl.kernels.cpu.layout import channels_last, logical, transposed
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import MR, NR_BYTES
from minidl.kernels.cpu.runtime.threads import thread_count
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, ceil_div, share

CHUNK_BYTES = 2**20        # of transformed tiles, about: they should stay in a core's caches
MIN_CHUNK = 5 * MR         # tiles: fewer would not repay the transform of the filters


class Plan(NamedTuple):
    """What the kernels need to know besides arrays. `chunk` is in tiles, `rotated` and `relu` are 0 or 1."""

    scheme: Scheme
    grid: TileGrid          # over x
    out_grid: TileGrid      # over the output
    chunk: int
    rotated: int = 0
    relu: int = 0


class Workspace(NamedTuple):
    """Scratch memory of each thread for frequencies, uint8 (threads, n * n, bytes): of A, of a panel of B, and of M."""

    tiles: np.ndarray
    panel: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, scheme, *sizes):
        """A workspace with these sizes in bytes for each frequency."""
        return cls(*(empty((thread_count(), scheme.n**2, size + GAP), np.uint8) for size in sizes))


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
    panels = panels_in_all(x, f, x.shape[3] // c)
    chunk = chunk_length(len(x) * grid.down * grid.across, scheme.n**2 * c * x.itemsize, panels)
    workspace = Workspace.of(scheme, chunk * c * x.itemsize, c * NR_BYTES, BLOCK_ROWS * NR_BYTES)
    zeros = np.zeros(max(x.shape[3], panel_width(x)), x.dtype)
    convolve(Plan(scheme, grid, out_grid, chunk, int(rotated), int(relu)), x, filters, bias_row(x, bias, f), zeros,
             workspace, out)


def panels_in_all(like, f, groups):
    """The number of panels of f filters; each group has panels of its own."""
    return groups * ceil_div(f, groups * panel_width(like))


def chunk_length(tiles, size, panels):
    """How many tiles of `size` bytes a chunk has: chunks are of equal length, and all threads should have work."""
    chunks, threads = ceil_div(tiles, max(MIN_CHUNK, CHUNK_BYTES // size)), thread_count()
    while (chunks * panels < 3 * threads or chunks * panels % threads) and tiles // (chunks + 1) >= MIN_CHUNK:
        chunks += 1
    return ceil_div(tiles, chunks)


@kernel
def convolve(thread, threads, plan, x, filters, bias, zeros, workspace, out):
    """x (N, H, W, C), filters (r, r, C/groups, F), bias (F,)  ->  out (N, OH, OW, F)

    A work unit is a panel of a group's filters, for one chunk of tiles.
    """
    v, u, products = workspace.tiles[thread], workspace.panel[thread], workspace.products[thread]
    c = filters.shape[2]
    groups = x.shape[3] // c
    row, group_bytes = c * x.itemsize, out.shape[3] // groups * out.itemsize
    tile_count = len(x) * plan.grid.down * plan.grid.across
    panels = ceil_div(group_bytes, NR_BYTES)
    units = share(thread, threads, ceil_div(tile_count, plan.chunk) * groups * panels)
    unit = units.start
    while unit < units.stop:
        first, group, panel = unit // (groups * panels) * plan.chunk, unit // panels % groups, unit % panels
        count, last_panel = min(plan.chunk, tile_count - first), min(panels, panel + units.stop - unit)
        transform_inputs(plan.scheme, x, plan.grid, Span(first, count), Span(group * row, row), zeros, v)
        unit += last_panel - panel
        for p in range(panel, last_panel):
            columns = panel_span(p, group, group_bytes)
            transform_filters(plan.scheme, filters, plan.rotated, columns, u)
            for t in range(0, count, BLOCK_ROWS):
                rows = min(BLOCK_ROWS, count - t)
                multiply(v, RowsOfA(t * row, row, rows, c, x.itemsize), u, columns.count, zeros, products)
                finish_outputs(plan.scheme, products, plan.out_grid, Span(first + t, rows), columns, bias, plan.relu,
                               out)


@inner
def panel_span(panel, group, group_bytes):
    """The bytes of a pixel in one panel of one group's channels."""
    begin = panel * NR_BYTES
    return Span(group * group_bytes + begin, min(NR_BYTES, group_bytes - begin))


def conv2d_weight_gradient(grad, x, window, scheme, groups=1):
    """dw, for each channel and filter, from the tiles of x and those of grad."""
    (n, f, *size), c, r = grad.shape, x.shape[1] // groups, scheme.r
    (top, _), (left, _) = window.padding
    grid, out_grid = TileGrid.over(size, scheme.m, top, left), TileGrid.over(size, scheme.m)
    splits = min(REDUCTION_SPLITS // panels_in_all(x, f, groups), n * grid.down * grid.across // MIN_CHUNK)
    # Chunks of x and grad together take twice CHUNK_BYTES: each costs a pass over all filters, which crowd the cache.
    chunk = max(MIN_CHUNK, 2 * CHUNK_BYTES // (scheme.n**2 * (c * x.itemsize + NR_BYTES)))
    workspace = Workspace.of(scheme, chunk * c * x.itemsize, chunk * NR_BYTES, BLOCK_ROWS * NR_BYTES)
    zeros = np.zeros(max(x.shape[1], f, panel_width(x)), x.dtype)
    out = np.zeros((max(1, splits), r, r, c, f), x.dtype)
    correlate(Plan(scheme, grid, out_grid, chunk), channels_last(x), channels_last(grad), zeros, workspace, out)
    return (out[0] if len(out) == 1 else out.sum(0)).transpose(3, 2, 0, 1)


@kernel
def correlate(thread, threads, plan, x, grad, zeros, workspace, out):
    """x (N, H, W, C), grad (N, OH, OW, F)  ->  out (splits, r, r, C/groups, F)

    A work unit is a panel of a group's filters, for one split of the tiles.
    """
    v, z, products = workspace.tiles[thread], workspace.panel[thread], workspace.products[thread]
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
        stop = (split + 1) * tile_count // splits
        for first in range(split * tile_count // splits, stop, plan.chunk):
            tiles = Span(first, min(plan.chunk, stop - first))
            transform_inputs(plan.scheme, x, plan.grid, tiles, Span(group * row, row), zeros, v)
            for p in range(panel, last_panel):
                columns = panel_span(p, group, group_bytes)
                transform_gradients(plan.scheme, grad, plan.out_grid, tiles, columns, zeros, z)
                for i in range(0, c, BLOCK_ROWS):
                    rows = min(BLOCK_ROWS, c - i)
                    multiply(v, RowsOfA(i * x.itemsize, x.itemsize, rows, tiles.count, row), z, columns.count, zeros,
                             products)
                    add_to_filters(plan.scheme, products, Span(i, rows), columns, out[split])
