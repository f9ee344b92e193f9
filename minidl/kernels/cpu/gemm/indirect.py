"""The one driver of the register tile: a matrix product whose rows lie anywhere, or one for each of several groups.

    C[p, g, f] = bias[g, f] + sum over t, i of A[p, g, t, i] * B[g, t * k + i, f]

`p` runs over a grid of three lengths, `g` over groups, `t` over taps, `i` over k neighbours. A[p, g, t, i] is read at
the address a + p . a_strides + steps[g, t] + i * stride, and the columns of C[p, g] are written from the address
c + p . c_strides + g * c.group on. That is general enough for

    a matrix product       grid (1, 1, M)                                      one tap, k = the inner length
    convolution            grid (N, OH, OW), the windows read where they lie   a tap per row of the window, k = KW * C
    its input gradient     the same over the output's gradient
    its weight gradient    grid (KH, KW, C), the places of the window          a tap per output row, k = OW pixels apart

and for convolution in groups, each of which sees channels of its own.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.llvm.gemm_microkernel import edge_tile, half_tile, single_tile, wide_edge_tile, wide_tile
from minidl.kernels.cpu.llvm.transpose import turn_lines
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import TILE_ROWS, VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import share

# Bytes of B that one sweep over rows uses, and of A that one sweep over columns uses: what is used again should still
# be in the L1 and L2 caches. Found by measuring with benchmarks/matmul_conv.py.
B_BYTES = 48 * 1024
A_BYTES = 128 * 1024
MOST_TILES = 64    # in a block: their table of addresses must not crowd the cache either
NARROW = 512       # rows of B of at most so many bytes are read where they lie; longer ones would crowd the cache


class Rows(NamedTuple):
    """Where the rows of A or C lie in an array: row p begins at offset + p0 * s0 + p1 * s1 + p2 * s2, all in bytes.

    In C the columns of a group begin `group` bytes behind those of the group before.
    """

    array: np.ndarray
    offset: int
    strides: tuple
    group: int = 0


class Columns(NamedTuple):
    """Where the columns of B lie: in panels of two vectors' width, `panel` bytes apart, with rows `row` bytes apart.

    The panels of a group begin `group` bytes behind those of the group before.
    """

    array: np.ndarray
    group: int
    panel: int
    row: int


ALL_TAPS = np.empty((0, 2), np.int64)


def product(grid, a, steps, k, stride, b, columns, bias, c, splits=1, c_split=0, useful=ALL_TAPS, relu=False):
    """Compute C as the module describes.

    grid     three lengths;  a, c: Rows
    steps    int64 (groups, taps), byte distances;  k: neighbours per tap;  stride: bytes between them
    b        Columns, of which each group has so many
    bias     the numbers that each row starts from: for each group as many as whole panels have columns
    splits   deal the taps out to so many partial results, c_split bytes apart, for the caller to sum
    relu     whether what is below 0 becomes 0
    useful   for each p1, from which tap to which there is anything but zeros: int64 (grid[1], 2); or ALL_TAPS
    """
    sweep(bias, *grid, a.array.ctypes.data + a.offset, *a.strides, steps, k, stride,
          b.array.ctypes.data, b.group, b.panel, b.row, columns,
          c.array.ctypes.data + c.offset, *c.strides, c.group, splits, c_split, useful, int(relu))


@kernel
def sweep(thread, threads, bias, n0, n1, n2, a, a0, a1, a2, steps, k, stride, b, b_group, b_panel, b_row, columns,
          c, c0, c1, c2, c_group, splits, c_split, useful, relu):
    """Deal (split, block of rows, group, panel) out to the threads; no sum depends on how many they are."""
    size = bias.itemsize
    width = 2 * VECTOR_BYTES // size
    rows, (groups, taps) = n0 * n1 * n2, steps.shape
    in_group = (columns + width - 1) // width
    panels = groups * in_group
    tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    # A block holds as many tiles as A_BYTES allow, but there must be blocks enough to keep all threads busy.
    fair = (tiles * panels * splits + 4 * threads - 1) // (4 * threads)
    length = groups * k * size
    apart = min(abs(a2), length) if n2 > 1 else length               # windows overlap: a row brings so many new bytes
    most_tiles = max(1, min(A_BYTES // (TILE_ROWS * max(size, apart)), fair, MOST_TILES))
    blocks = (tiles + most_tiles - 1) // most_tiles
    block = (tiles + blocks - 1) // blocks                           # equally many, or some threads would wait
    units = blocks * panels * splits
    # One call of the tile sums as many products as B_BYTES allow: several taps, or a part of one.
    products = B_BYTES // (width * size)
    part = min(k, products)
    together = max(1, products // max(1, k))

    table, ranges = np.empty((2, block * TILE_ROWS), np.int64), np.empty((block, 2), np.int64)
    scratch = np.empty((groups - 1) * c_group // size + in_group * width, bias.dtype)    # for rows past the last
    step = np.empty(1, np.int64)
    filled = -1
    for unit in range(thread * units // threads, (thread + 1) * units // threads):
        split, at = unit // (blocks * panels), unit // panels % blocks
        group, panel = unit // in_group % groups, unit % in_group
        if filled != unit // panels:
            filled = unit // panels
            fill(table, at * block * TILE_ROWS, n0, n1, n2, a, a0, a1, a2, c + split * c_split, c0, c1, c2,
                 scratch.ctypes.data, ranges, taps, useful)
        here = min(block, tiles - at * block)
        wanted = min(width, columns - panel * width)
        start = bias.ctypes.data + (group * in_group + panel) * width * size
        from_b, offset = b + group * b_group + panel * b_panel, group * c_group + panel * width * size
        tap, end = split * taps // splits, (split + 1) * taps // splits
        while tap < end:
            some = min(together, end - tap)
            for i in range(0, k, part):
                step[0] = steps[group, tap] + i * stride
                for tile in range(here):
                    first, last = max(tap, ranges[tile, 0]), min(tap + some, ranges[tile, 1])
                    done = (i + part >= k or first >= last) and tap + some >= min(end, ranges[tile, 1])
                    if first < last or start != 0:
                        at_rows = table.ctypes.data + tile * TILE_ROWS * 8
                        from_step = steps.ctypes.data + (group * taps + first) * 8
                        sums(bias, at_rows, at_rows + block * TILE_ROWS * 8, offset,
                             step.ctypes.data if part < k else from_step, last - first, min(part, k - i), stride,
                             from_b + (first * k + i) * b_row, b_row, start, wanted, relu if done else 0)
                start = 0                                        # from here on, add to what is there
            tap += some


@inner
def sums(like, rows, outs, offset, steps, taps, k, stride, b, b_row, start, wanted, relu):
    """One tile of rows times one panel, of which `wanted` columns count."""
    lanes = VECTOR_BYTES // like.itemsize
    if wanted == 2 * lanes:
        wide_tile(like, rows, outs, offset, steps, taps, k, stride, b, b_row, start, wanted, relu)
        return
    if wanted == lanes:
        single_tile(like, rows, outs, offset, steps, taps, k, stride, b, b_row, start, wanted, relu)
        return
    if wanted <= lanes // 2:
        half_tile(like, rows, outs, offset, steps, taps, k, stride, b, b_row, start, wanted, relu)
        return
    if wanted < lanes:
        edge_tile(like, rows, outs, offset, steps, taps, k, stride, b, b_row, start, wanted, relu)
        return
    wide_edge_tile(like, rows, outs, offset, steps, taps, k, stride, b, b_row, start, wanted, relu)


@inner
def fill(table, first, n0, n1, n2, a, a0, a1, a2, c, c0, c1, c2, scratch, ranges, taps, useful):
    """The addresses of the rows first, first + 1, ... of A and of C; past the last one, any row of A, and scratch.

    And for each tile the range of taps that are useful to any of its rows.
    """
    for tile in range(len(ranges)):
        ranges[tile, 0], ranges[tile, 1] = (taps, 0) if len(useful) else (0, taps)
    i, last, line = 0, min(table.shape[1], n0 * n1 * n2 - first), first // n2
    p2 = first % n2
    while i < last:                                                  # a stretch of rows along the last axis
        from_a = a + line // n1 * a0 + line % n1 * a1
        from_c = c + line // n1 * c0 + line % n1 * c1
        count = min(n2 - p2, last - i)
        for q in range(count):
            table[0, i + q], table[1, i + q] = from_a + (p2 + q) * a2, from_c + (p2 + q) * c2
        if len(useful):
            for tile in range(i // TILE_ROWS, (i + count - 1) // TILE_ROWS + 1):
                ranges[tile, 0] = min(ranges[tile, 0], useful[line % n1, 0])
                ranges[tile, 1] = max(ranges[tile, 1], useful[line % n1, 1])
        i, line, p2 = i + count, line + 1, 0
    for i in range(max(0, last), table.shape[1]):
        table[0, i], table[1, i] = a, scratch


@kernel
def pack_panels(thread, threads, source, panels):
    """Copy the columns of `source` (KH, KW, K, G, F) into panels (G, P, KH, KW, K, width)."""
    kh, kw, k, groups, columns = source.shape
    in_group, width = panels.shape[1], panels.shape[5]
    for unit in share(thread, threads, groups * in_group * kh * kw):
        tap, group, panel = unit % (kh * kw), unit // (kh * kw) // in_group, unit // (kh * kw) % in_group
        real = min(width, columns - panel * width)
        part = source[tap // kw, tap % kw, :, group, panel * width:panel * width + real]
        rows = panels[group, panel, tap // kw, tap % kw]
        if part.strides[0] == part.itemsize:                         # columns lie as rows would
            turn_lines(source, part.ctypes.data, part.strides[1], real, k, rows.ctypes.data, rows.strides[0])
        else:
            for i in range(k):
                for f in range(real):
                    rows[i, f] = part[i, f]


def packed(source):
    """The Columns of `source` (KH, KW, K, G, F), any strides; in panels, unless they are few and lie well already."""
    kh, kw, k, groups, columns = source.shape
    width = min(columns, panel_width(source))
    if source.flags.c_contiguous and groups * columns * source.itemsize <= NARROW:
        return Columns(source, columns * source.itemsize, width * source.itemsize, groups * columns * source.itemsize)
    panels = empty((groups, -(-columns // width), kh, kw, k, width), source.dtype)
    pack_panels(source, panels)
    return Columns(panels, panels.strides[0], panels.strides[1], panels.strides[4])


def panel_width(like):
    """How many columns a panel has: two vectors of them."""
    return 2 * VECTOR_BYTES // like.itemsize


def start_row(like, bias, columns, groups=1):
    """The numbers that each row of C starts from: the bias, or zeros, filled up to whole panels for each group."""
    width = panel_width(like)
    row = np.zeros((groups, -(-columns // width) * width), like.dtype)
    if bias is not None:
        row[:, :columns] = bias.reshape(groups, columns)
    return row.ravel()
