"""The matrix product, in blocks that the caches hold.

    C[i, j] = bias[j] + sum over k of A[i, k] * B[k, j]

                    KC           NC                             A thread takes a block of C. For each KC of the inner
              +----+----+     +------+       +------+           length it packs an MC x KC block of A and a KC x NC
           MC |////|    |  KC |//////|    MC |//////|           block of B, unless their rows are short, and runs the
              +----+----+     +------+       +------+           microkernel on each MR rows of A and each panel of B.
                   A             B              C

Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34 (2008).
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.gemm.indirect import Epilogue
from minidl.kernels.cpu.gemm.packing import ROW_GAP, UNPACKED_BYTES, Block, bias_row, pack_a, pack_b, panel_width
from minidl.kernels.cpu.llvm.gemm_microkernel import (
    LOW,
    BPanel,
    RowPointers,
    TapOffsets,
    gemm_microkernel,
    tile_shape,
)
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import LOW_MR, MR, NR_BYTES
from minidl.kernels.cpu.runtime.threads import thread_count
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, ceil_div, share

MC_BYTES = 256 * 1024     # of a block of A; like KC and NC measured with benchmarks/matmul_conv.py
KC = 256
NC = 256
SMALL_M = 2 * MR          # with so few rows of A, packing B costs more than it saves
UNPACKED_KC = 32          # then B is read in place, this many whole rows at a time;
LONG_KC, SHORT_NC = 1024, 64       # or, if it is transposed, packed in blocks that are long in memory


class Blocking(NamedTuple):
    """C is cut into row_blocks of whole tiles and column_blocks of whole panels, the inner length K into splits.

    mc, nc  rows and columns of the largest block;  kc: the inner length of a step. nc is 0 if B is read in place.
    """

    splits: int
    row_blocks: int
    column_blocks: int
    mc: int
    kc: int
    nc: int


class Workspaces(NamedTuple):
    """Memory for packed blocks of A and B: (threads, elements), without elements if they are read in place."""

    a: np.ndarray
    b: np.ndarray


def matmul(a, b, bias=None, relu=False):
    if not a.ndim == b.ndim == 2 or 0 in (*a.shape, b.shape[1]):
        return plain.matmul(a, b, bias, relu)
    (m, k), n = a.shape, b.shape[1]
    a_transposed, b_transposed, has_epilogue = is_transposed(a), is_transposed(b), bias is not None or relu
    a = a.T if a_transposed else np.ascontiguousarray(a)
    b = b.T if b_transposed else np.ascontiguousarray(b)
    blocking = plan(m, k, n, a.itemsize, has_epilogue, b_transposed)
    out = empty((blocking.splits, m, n), a.dtype)
    workspaces = (workspace(a, (blocking.mc + ROW_GAP) * (blocking.kc + ROW_GAP)),
                  workspace(b, blocking.nc * blocking.kc, b_transposed))
    multiply(a, int(a_transposed), b, int(b_transposed), out, (bias_row(a, bias, n), int(relu)), tuple(blocking),
             workspaces)
    return out[0] if blocking.splits == 1 else out.sum(0)


def is_transposed(x):
    """Whether the transpose of x is C-contiguous, and x is not."""
    return x.T.flags.c_contiguous and not x.flags.c_contiguous


def plan(m, k, n, size, has_epilogue, b_transposed):
    """The Blocking of a product (M, K) @ (K, N) of elements of `size` bytes, unsplit if it has an epilogue."""
    tiles, panels, few = ceil_div(m, MR), ceil_div(n * size, NR_BYTES), m <= SMALL_M
    in_place = few and n * size > UNPACKED_BYTES and not b_transposed
    kc, nc = (UNPACKED_KC, n) if in_place else (LONG_KC, SHORT_NC) if few and b_transposed else (KC, NC)
    kc = min(k, kc)
    row_blocks, column_blocks = ceil_div(m * kc * size, MC_BYTES), ceil_div(n, nc)
    splits = 1 if has_epilogue else max(1, min(REDUCTION_SPLITS // (row_blocks * column_blocks), k // (4 * KC)))
    most_rows = row_blocks if few else tiles                       # each block of rows reads all of B
    row_blocks, column_blocks = occupy_threads(row_blocks, column_blocks, splits, most_rows, panels)
    mc, nc = ceil_div(tiles, row_blocks) * MR, ceil_div(panels, column_blocks) * (NR_BYTES // size)
    return Blocking(splits, row_blocks, column_blocks, mc, kc, 0 if in_place else nc)


def occupy_threads(row_blocks, column_blocks, splits, most_rows, panels):
    """These numbers of blocks, that of rows to most_rows at most, raised so that all threads get the same work."""
    threads = thread_count()
    while (units := row_blocks * column_blocks * splits) % threads and units < 8 * threads and row_blocks < most_rows:
        row_blocks += 1
    while row_blocks * column_blocks * splits < threads and column_blocks < panels:
        column_blocks += 1
    return row_blocks, column_blocks


def workspace(x, elements, always=False):
    """Memory for each thread to pack a number of elements of the matrix x; none if its rows are short."""
    return empty((thread_count(), elements if always or x.shape[1] * x.itemsize > UNPACKED_BYTES else 0), x.dtype)


@kernel
def multiply(thread, threads, a, a_transposed, b, b_transposed, out, epilogue, blocking, workspaces):
    """a (M, K), or (K, M) if a_transposed is 1; b (K, N), likewise  ->  out (splits, M, N), each the sum of a part of K

    epilogue, blocking, workspaces  the fields of an Epilogue, a Blocking and of Workspaces
    """
    epilogue, blocking, workspaces = Epilogue(*epilogue), Blocking(*blocking), Workspaces(*workspaces)
    k = b.shape[b_transposed]
    splits, m, n = out.shape
    size, width = a.itemsize, panel_width(a)
    tiles, panels = ceil_div(m, MR), ceil_div(n, width)
    pointers, no_offset = np.empty((2, blocking.mc), np.int64), np.zeros(1, np.int64)
    a_rows, c_rows = pointers[0].ctypes.data, pointers[1].ctypes.data
    unused = np.empty(len(epilogue.bias), a.dtype)               # rows past the last one are written here
    for unit in share(thread, threads, splits * blocking.row_blocks * blocking.column_blocks):
        column_block, rest = unit % blocking.column_blocks, unit // blocking.column_blocks
        row_block, split = rest % blocking.row_blocks, rest // blocking.row_blocks
        row = row_block * tiles // blocking.row_blocks * MR
        column = column_block * panels // blocking.column_blocks * width
        rows = min(m, (row_block + 1) * tiles // blocking.row_blocks * MR) - row
        columns = min(n, (column_block + 1) * panels // blocking.column_blocks * width) - column
        for i in range(blocking.mc):
            c_row = out.ctypes.data + ((split * m + row + i) * n + column) * size
            pointers[1, i] = c_row if i < rows else unused.ctypes.data
        low_rows = low_tiles(rows) * LOW_MR
        begin, end = split * k // splits, (split + 1) * k // splits
        start, steps = epilogue.bias.ctypes.data + column * size, ceil_div(end - begin, blocking.kc)
        for step in range(steps):
            kc = (end - begin) // (steps - step)
            stride = pack_a(a, a_transposed, Block(row, begin, rows, kc), workspaces.a[thread], pointers[0])
            data, panel_stride, row_stride = pack_b(b, b_transposed, Block(begin, column, kc, columns),
                                                    workspaces.b[thread])
            begin += kc
            taps, relu = TapOffsets(no_offset.ctypes.data, 1, kc, stride), epilogue.relu if begin == end else 0
            for j in range(0, columns, width):
                wide, panel = min(width, columns - j), BPanel(data + j // width * panel_stride, row_stride)
                start_here, i = start + j * size if start != 0 else 0, 0
                while i < rows:
                    low = wide == width and i < low_rows
                    gemm_microkernel(a, LOW if low else tile_shape(a, wide),
                                     RowPointers(a_rows + i * 8, c_rows + i * 8, j * size), taps, panel, start_here,
                                     wide, relu)
                    i += LOW_MR if low else MR
            start = 0                                                # from here on, add to C


@inner
def low_tiles(rows):
    """The number of low tiles, among the tiles over `rows` rows, that leaves the fewest of their rows empty."""
    result, fewest = 0, MR
    enough = ceil_div(rows, MR)
    for tiles in range(enough, enough + 2):
        spare = tiles * MR - rows
        low = min(tiles, spare // (MR - LOW_MR))
        if spare - low * (MR - LOW_MR) < fewest:
            result, fewest = low, spare - low * (MR - LOW_MR)
    return result
