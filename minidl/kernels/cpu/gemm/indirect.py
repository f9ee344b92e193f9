"""Indirect GEMM: a matrix product whose rows of A lie anywhere in memory, for one group of columns or several.

    C[p, g, f] = bias[g, f] + sum over t, i of A[p, g, t, i] * B[g, t * length + i, f]

p runs over a grid of three lengths, g over groups, t over taps, i over the elements of a tap. A[p, g, t, i] is read at

    a + p . a_strides + offsets[g, t] + i * stride

and the row C[p, g] is written to  c + p . c_strides + g * group_stride.  That is general enough for

    a matrix product       grid (1, 1, M)                                one tap, of the inner length
    convolution            grid (N, OH, OW), the windows read in place   a tap per row of the window: KW * C elements
    its input gradient     the same over the output's gradient
    its weight gradient    grid (KH, KW, C), positions in the window     a tap per output row: OW elements, pixels apart

and for convolution in groups, each of which reads channels of its own.

M. Dukhan, "The indirect convolution algorithm", arXiv:1907.02129. There a table holds a pointer for each row and tap;
here it holds one for each row, and all rows share the tap offsets.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.gemm.packing import KC, PackedBPointer, panel_width
from minidl.kernels.cpu.llvm.gemm_microkernel import BPanel, RowPointers, TapOffsets, gemm_microkernel, tile_shape
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.target import MR
from minidl.kernels.cpu.runtime.work import ceil_div, share

MC_BYTES = 128 * 1024      # of a block of rows of A, which should stay in the L2 cache; measured, as KC is
BLOCK_TILES = 64           # in a block, at most: the row pointers should not crowd the cache either
ALL_TAPS = np.empty((0, 2), np.int64)


class Operand(NamedTuple):
    """Where the rows of A or C lie in an array: row p at  offset + p0 * s0 + p1 * s1 + p2 * s2,  all in bytes.

    In C, the columns of a group begin `group_stride` bytes after those of the group before. If the taps are split,
    partial results lie `split_stride` bytes apart.
    """

    array: np.ndarray
    offset: int
    strides: tuple
    group_stride: int = 0
    split_stride: int = 0

    def pointer(self):
        """The same with an address, for kernels: an array would compile them again for each number of axes."""
        return OperandPointer(self.array.ctypes.data + self.offset, *self.strides, *self[3:])


class OperandPointer(NamedTuple):
    """See `Operand`."""

    address: int
    stride_0: int
    stride_1: int
    stride_2: int
    group_stride: int
    split_stride: int


class TapTable(NamedTuple):
    """Byte offsets of the taps, int64 (groups, taps). A tap is `length` elements of A, `stride` bytes apart.

    valid  int64 (grid[1], 2): for each p1 the range of taps that read anything but zeros, or ALL_TAPS
    """

    offsets: np.ndarray
    length: int
    stride: int
    valid: np.ndarray = ALL_TAPS


class Epilogue(NamedTuple):
    """What happens to a result on its way to C: `bias` (see `bias_row`) is added; if relu is 1, max(result, 0)."""

    bias: np.ndarray
    relu: int = 0


def indirect_gemm(grid, a, taps, b, c, epilogue, splits=1):
    """Compute C as the module describes.

    grid      three lengths;  a, c: Operand;  taps: TapTable;  b: PackedB;  epilogue: Epilogue
    splits    the number of parts into which the taps are split, with a partial result each, for the caller to sum
    """
    # Plain tuples, because Numba takes a microsecond to recognise each NamedTuple that comes from Python.
    multiply(grid, tuple(a.pointer()), tuple(taps), tuple(b.pointer()), tuple(c.pointer()), tuple(epilogue), splits)


class Panel(NamedTuple):
    """A panel of a group: the address and row stride of its B, its offset in a row of C, its bias, and its columns."""

    group: int
    b: int
    row_stride: int
    c_offset: int
    bias: int
    columns: int


@kernel
def multiply(thread, threads, grid, a, taps, b, c, epilogue, splits):
    """A work unit is a split, a block of rows, a group and a panel. No bit depends on the number of threads.

    a, taps, b, c, epilogue  the fields of an OperandPointer, a TapTable, ...
    """
    a, taps, b, c = OperandPointer(*a), TapTable(*taps), PackedBPointer(*b), OperandPointer(*c)
    bias, relu = epilogue
    size, width = bias.itemsize, panel_width(bias)
    groups, tap_count = taps.offsets.shape
    panels_in_group = ceil_div(b.columns, width)
    panels, tiles = groups * panels_in_group, ceil_div(grid[0] * grid[1] * grid[2], MR)
    row_bytes = groups * taps.length * size
    block_tiles = tiles_per_block(tiles, panels * splits, threads, row_bytes,
                                  abs(a.stride_2) if grid[2] > 1 else row_bytes, size)
    blocks = ceil_div(tiles, block_tiles)
    pointers, valid = np.empty((2, block_tiles * MR), np.int64), np.empty((block_tiles, 2), np.int64)
    unused = np.empty((groups - 1) * c.group_stride // size + panels_in_group * width, bias.dtype)
    part_offset, filled = np.empty(1, np.int64), -1
    for unit in share(thread, threads, blocks * panels * splits):
        split, block = unit // (blocks * panels), unit // panels % blocks
        group, panel = unit // panels_in_group % groups, unit % panels_in_group
        if filled != unit // panels:
            filled = unit // panels
            fill_row_pointers(pointers, valid, block * block_tiles * MR, grid, a, c, split, unused.ctypes.data, taps)
        current = Panel(group, b.address + group * b.group_stride + panel * b.panel_stride,
                        b.row_stride, group * c.group_stride + panel * width * size,
                        bias.ctypes.data + (group * panels_in_group + panel) * width * size,
                        min(width, b.columns - panel * width))
        multiply_panel(bias, pointers, valid[:min(block_tiles, tiles - block * block_tiles)], taps,
                       split * tap_count // splits, (split + 1) * tap_count // splits, current, part_offset, relu)


@inner
def multiply_panel(like, pointers, valid, taps, tap, end, panel, part_offset, relu):
    """Multiply the rows of a block by a panel: the products of the taps tap, tap + 1, ... end - 1."""
    a_rows, c_rows = pointers[0].ctypes.data, pointers[1].ctypes.data
    # A call of the microkernel goes through KC rows of the panel: several taps, or a part of one.
    kc, taps_per_call = min(taps.length, KC), max(1, KC // max(1, taps.length))
    shape, start = tile_shape(like, panel.columns), panel.bias
    while tap < end:
        stop = min(tap + taps_per_call, end)
        for i in range(0, taps.length, kc):
            part_offset[0] = taps.offsets[panel.group, tap] + i * taps.stride
            for tile in range(len(valid)):
                first, last = max(tap, valid[tile, 0]), min(stop, valid[tile, 1])
                if first >= last and start == 0:
                    continue                                         # nothing to add
                offsets = part_offset.ctypes.data
                if kc == taps.length:
                    offsets = taps.offsets.ctypes.data + (panel.group * taps.offsets.shape[1] + first) * 8
                done = (i + kc >= taps.length or first >= last) and stop >= min(end, valid[tile, 1])
                gemm_microkernel(like, shape,
                                 RowPointers(a_rows + tile * MR * 8, c_rows + tile * MR * 8, panel.c_offset),
                                 TapOffsets(offsets, last - first, min(kc, taps.length - i), taps.stride),
                                 BPanel(panel.b + (first * taps.length + i) * panel.row_stride, panel.row_stride),
                                 start, panel.columns, relu if done else 0)
            start = 0                                                # from here on, add to C
        tap = stop


@inner
def tiles_per_block(tiles, units, threads, row_bytes, stride, size):
    """How many tiles a block has: as many as MC_BYTES allow, but there must be blocks enough to occupy all threads.

    units      of work for each block of rows;  row_bytes: the length of a row of A
    stride     bytes from row to row: where windows overlap, a row adds only these to what the cache holds
    """
    fair = ceil_div(tiles * units, 4 * threads)
    most = max(1, min(MC_BYTES // (MR * max(size, min(stride, row_bytes))), fair, BLOCK_TILES))
    return ceil_div(tiles, ceil_div(tiles, most))                    # blocks of equal size, or some threads would wait


@inner
def fill_row_pointers(pointers, valid, first, grid, a, c, split, unused, taps):
    """Fill `pointers` with the addresses of rows first, first + 1, ... of A and of C, and `valid` for each tile.

    Past the last row, any row of A is read, and `unused` written. The valid taps of a tile cover those of all its rows.
    """
    tap_count = taps.offsets.shape[1]
    for tile in range(len(valid)):
        valid[tile, 0], valid[tile, 1] = (tap_count, 0) if len(taps.valid) else (0, tap_count)
    i, last = 0, min(pointers.shape[1], grid[0] * grid[1] * grid[2] - first)
    line, p2 = first // grid[2], first % grid[2]
    while i < last:                                                  # a run of rows along the last axis of the grid
        p0, p1 = line // grid[1], line % grid[1]
        from_a = a.address + p0 * a.stride_0 + p1 * a.stride_1
        from_c = c.address + split * c.split_stride + p0 * c.stride_0 + p1 * c.stride_1
        count = min(grid[2] - p2, last - i)
        for q in range(count):
            pointers[0, i + q] = from_a + (p2 + q) * a.stride_2
            pointers[1, i + q] = from_c + (p2 + q) * c.stride_2
        if len(taps.valid):
            for tile in range(i // MR, (i + count - 1) // MR + 1):
                valid[tile, 0] = min(valid[tile, 0], taps.valid[p1, 0])
                valid[tile, 1] = max(valid[tile, 1], taps.valid[p1, 1])
        i, line, p2 = i + count, line + 1, 0
    for i in range(max(0, last), pointers.shape[1]):
        pointers[0, i], pointers[1, i] = a.address, unused
