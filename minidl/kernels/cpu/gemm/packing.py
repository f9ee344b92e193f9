"""Packing: copies of blocks of A and B, in the order in which the GEMM microkernel reads them.

A packed panel holds NR columns of B, one row after another, where NR is two vectors. Here NR = 4, and the last panel of
6 columns is half empty:

    b00 b01 b02 b03 | b04 b05            panel 0:  b00 b01 b02 b03  b10 b11 b12 b13  b20 b21 b22 b23
    b10 b11 b12 b13 | b14 b15    --->    panel 1:  b04 b05  -   -   b14 b15  -   -   b24 b25  -   -
    b20 b21 b22 b23 | b24 b25

The rows of A and B begin far apart, often by a power of 2, and then compete for few sets of the cache; their copies do
not. Short rows are read in place.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from minidl.kernels.cpu.llvm.transpose import transpose
from minidl.kernels.cpu.llvm.vectors import copy_vector
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import NR_BYTES, VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import ceil_div, share

KC = 48 * 1024 // NR_BYTES     # rows of a panel that stay in the L1 cache; measured with benchmarks/matmul_conv.py
UNPACKED_BYTES = 512           # shorter rows, or equally long ones, are read in place
ROW_GAP = 16                   # elements between packed rows of A, so that they are not a power of 2 apart


class PackedB(NamedTuple):
    """B for each group of a product, which has `columns` columns: panels of NR columns. The strides are in bytes.

    B need not be packed: `array` may be B itself, with contiguous rows; a panel is then NR columns of it.
    """

    array: np.ndarray
    columns: int
    group_stride: int
    panel_stride: int
    row_stride: int

    def pointer(self):
        """The same with the address of the array, for kernels."""
        return PackedBPointer(self.array.ctypes.data, *self[1:])


class PackedBPointer(NamedTuple):
    """See `PackedB`."""

    address: int
    columns: int
    group_stride: int
    panel_stride: int
    row_stride: int


class Block(NamedTuple):
    """Part of a matrix: where it begins, and its size."""

    row: int
    column: int
    rows: int
    columns: int


system_zeros = np.zeros        # also while a step is recorded, which replaces it: see traced.py


@register_jitable
def panel_width(like):
    """NR: the columns of a panel."""
    return NR_BYTES // like.itemsize


def bias_row(like, bias, columns, groups=1):
    """The row from which each row of C starts: the bias or zeros, filled up to whole panels for each group."""
    width = ceil_div(columns, panel_width(like)) * panel_width(like)
    if bias is None:
        return zeros(groups * width, like.dtype)
    row = np.zeros((groups, width), like.dtype)
    row[:, :columns] = bias.reshape(groups, columns)
    return row.ravel()


@functools.lru_cache(64)
def zeros(count, dtype):
    """Zeros that are only read: the same array for the same arguments."""
    return system_zeros(count, dtype)


def pack_panels(source):
    """The PackedB of `source` (KH, KW, K, G, F), any strides; short rows are not copied."""
    kh, kw, k, groups, columns = source.shape
    size, width = source.itemsize, min(columns, panel_width(source))
    if source.flags.c_contiguous and groups * columns * size <= UNPACKED_BYTES:
        return PackedB(source, columns, columns * size, width * size, groups * columns * size)
    panels = empty((groups, ceil_div(columns, width), kh, kw, k, width), source.dtype)
    fill_panels(source, panels)
    return PackedB(panels, columns, panels.strides[0], panels.strides[1], panels.strides[4])


@kernel
def fill_panels(thread, threads, source, panels):
    """Copy the columns of `source` (KH, KW, K, G, F) into panels (G, P, KH, KW, K, width)."""
    kh, kw, k, groups, columns = source.shape
    in_group, width = panels.shape[1], panels.shape[5]
    for unit in share(thread, threads, groups * in_group * kh * kw):
        tap, group, panel = unit % (kh * kw), unit // (kh * kw) // in_group, unit // (kh * kw) % in_group
        real = min(width, columns - panel * width)
        part = source[tap // kw, tap % kw, :, group, panel * width:panel * width + real]
        rows = panels[group, panel, tap // kw, tap % kw]
        if part.strides[0] == part.itemsize:                         # a column is contiguous
            transpose(source, part.ctypes.data, part.strides[1], real, k, rows.ctypes.data, rows.strides[0])
        else:
            for i in range(k):
                for f in range(real):
                    rows[i, f] = part[i, f]


@inner
def copy_rows(like, source, source_stride, rows, columns, target, target_stride):
    """Copy rows of `columns` elements from address to address; the strides are the bytes from row to row."""
    lanes = VECTOR_BYTES // like.itemsize
    for i in range(rows):
        for j in range(0, columns, lanes):
            at = j * like.itemsize
            copy_vector(like, source + i * source_stride + at, target + i * target_stride + at, columns - j)


@inner
def pack_a(a, transposed, block, workspace, pointers):
    """Fill `pointers` with the addresses of the rows of a block of A. Returns the bytes from element to element.

    a is A, or its transpose if `transposed` is not 0. The block is copied into the workspace, unless that is empty.
    Pointers past the last row are to that row.
    """
    size = a.itemsize
    stored = block if transposed == 0 else Block(block.column, block.row, block.columns, block.rows)
    data, stride = a.ctypes.data + (stored.row * a.shape[1] + stored.column) * size, a.shape[1] * size
    if len(workspace):
        copied, copied_stride = np.int64(workspace.ctypes.data), (stored.columns + ROW_GAP) * size
        copy_rows(a, data, stride, stored.rows, stored.columns, copied, copied_stride)
        data, stride = copied, copied_stride
    row_stride, element_stride = (stride, size) if transposed == 0 else (size, stride)
    for i in range(len(pointers)):
        pointers[i] = data + min(i, block.rows - 1) * row_stride
    return element_stride


@inner
def pack_b(b, transposed, block, workspace):
    """Where a block of B lies: (address, bytes from panel to panel, bytes from row to row).

    b is B, or its transpose if `transposed` is not 0. The block is copied, panel by panel, into the workspace, unless
    that is empty.
    """
    size = b.itemsize
    width, stride = panel_width(b), b.shape[1] * size
    stored = block if transposed == 0 else Block(block.column, block.row, block.columns, block.rows)
    data = b.ctypes.data + stored.row * stride + stored.column * size
    if not len(workspace):
        return data, NR_BYTES, stride
    copied = np.int64(workspace.ctypes.data)
    for j in range(0, block.columns, width):
        columns, panel = min(width, block.columns - j), copied + j * block.rows * size
        if transposed == 0:
            copy_rows(b, data + j * size, stride, block.rows, columns, panel, NR_BYTES)
        else:
            transpose(b, data + j * stride, stride, columns, block.rows, panel, NR_BYTES)
    return copied, block.rows * NR_BYTES, NR_BYTES
