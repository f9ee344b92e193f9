"""The matrix product, on the register tile, cut into blocks that the caches hold.

    C[i, j] = bias[j] + sum over k of A[i, k] * B[k, j]

A thread computes a block of C, some products of every sum at a time. Short rows of A and B it reads where they lie.
Rows of many numbers begin far apart, often a power of 2, and would fall into few lines of the cache; so of such
matrices the thread first copies the part that it is about to use, B in panels of two vectors' width.

Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34 (2008).
"""

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.gemm.indirect import start_row, sums
from minidl.kernels.cpu.layout import transposed
from minidl.kernels.cpu.llvm.gemm_microkernel import copy_vector, low_tile
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import LOW_ROWS, TILE_ROWS, VECTOR_BYTES
from minidl.kernels.cpu.runtime.threads import thread_count

A_BYTES = 256 * 1024      # of A that a thread uses at a time, and columns of B; measured with benchmarks/matmul_conv.py
COLUMNS = 256
DEPTH = 256               # products of a sum at a time
FEW = 2 * TILE_ROWS       # rows of A that don't repay copying B; it is then read a few whole rows at a time
THIN = 16                 # namely so many
SHORT = 512               # bytes of a row that need not be copied
GAP = 16                  # numbers between copied rows, lest they be a power of 2 apart
PARTS = 16                # of a long sum of few rows and columns: a fixed number, so that the bits don't depend on how
#                           many threads there are
PANEL_BYTES = 2 * VECTOR_BYTES


def matmul(a, b, bias=None, relu=False):
    """a @ b + bias for two matrices.   a (M, K), b (K, N), bias (N,) or None  ->  (M, N)

    With `relu`, max(out, 0).
    """
    (m, k), n = a.shape, b.shape[1]
    if not (m and n and k):
        return plain.matmul(a, b, bias, relu)
    a_turned, b_turned = turned(a), turned(b)
    if b_turned and bias is None and not relu and k * n > m * (k + n):
        return np.ascontiguousarray(matmul(b.T, a.T).T)       # turning a and the result costs less than turning b
    a = a.T if a_turned else np.ascontiguousarray(a)
    b = transposed(b.T[None])[0] if b_turned else np.ascontiguousarray(b)
    few = m <= FEW and n * b.itemsize > SHORT
    tiles, panels, depth = -(-m // TILE_ROWS), -(-n * b.itemsize // PANEL_BYTES), min(k, THIN if few else DEPTH)
    downs, acrosses = -(-m * depth * a.itemsize // A_BYTES), 1 if few else -(-n // COLUMNS)
    parts = 1 if bias is not None or relu else max(1, min(PARTS // (downs * acrosses), k // (4 * DEPTH)))
    downs, acrosses = dealt(downs, acrosses, tiles, panels, parts)
    out = empty((parts, m, n), a.dtype)
    rows, columns = -(-tiles // downs) * TILE_ROWS, -(-panels // acrosses) * (PANEL_BYTES // a.itemsize)
    multiply(a, int(a_turned), b, start_row(a, bias, n), int(relu), out, downs, acrosses, rows,
             depth, room_for(a, (rows + GAP) * (depth + GAP)), room_for(b, 0 if few else columns * depth))
    return out[0] if parts == 1 else out.sum(0)


def dealt(downs, acrosses, tiles, panels, parts):
    """Into how many strips to cut C, down and across, at least: as many that all threads have equally much to do."""
    threads = thread_count()
    while downs * acrosses * parts % threads and downs * acrosses * parts < 8 * threads and downs < tiles:
        downs += 1
    while downs * acrosses * parts < threads and acrosses < panels:
        acrosses += 1
    return downs, acrosses


def room_for(x, numbers):
    """Room for each thread to copy so many numbers of the matrix x; none, if they are read where they lie."""
    return empty((thread_count(), numbers if x.shape[1] * x.itemsize > SHORT else 0), x.dtype)


def turned(x):
    """Whether the transpose of x lies in memory row by row, and x does not."""
    return x.T.flags.c_contiguous and not x.flags.c_contiguous


@kernel
def multiply(thread, threads, a, a_turned, b, bias, relu, out, downs, acrosses, most_rows, most_depth, a_room, b_room):
    """a (M, K), or (K, M) if turned, b (K, N)  ->  out (S, M, N), each the sum of a part of the products

    C is cut into `downs` strips of whole tiles, and `acrosses` strips of whole panels.
    """
    k, n = b.shape
    parts, m, _ = out.shape
    size = a.itemsize
    width = PANEL_BYTES // size
    tiles, panels = (m + TILE_ROWS - 1) // TILE_ROWS, (n + width - 1) // width
    units = parts * downs * acrosses
    table, no_step = np.empty((2, most_rows), np.int64), np.zeros(1, np.int64)
    from_a, to_c = table.ctypes.data, table.ctypes.data + most_rows * 8
    scratch = np.empty(len(bias), a.dtype)                       # where rows past the last one are written
    for unit in range(thread * units // threads, (thread + 1) * units // threads):
        part, strip, side = unit // (downs * acrosses), unit // acrosses % downs, unit % acrosses
        first, begin = strip * tiles // downs * TILE_ROWS, side * panels // acrosses * width
        rows = min(m, (strip + 1) * tiles // downs * TILE_ROWS) - first
        columns = min(n, (side + 1) * panels // acrosses * width) - begin
        for i in range(most_rows):
            to_row = out.ctypes.data + (((part * m + first + i) * n) + begin) * size
            table[1, i] = to_row if i < rows else scratch.ctypes.data
        low_rows = low_tiles(rows) * LOW_ROWS if m > FEW else 0  # few rows wait for B, not for products
        p, end = part * k // parts, (part + 1) * k // parts
        start, steps = bias.ctypes.data + begin * size, (end - p + most_depth - 1) // most_depth
        for step in range(steps):
            depth = (end - p) // (steps - step)
            stride = lay_rows(a, a_turned, first, rows, p, depth, a_room, thread, table)
            data, to_panel, row = lay_columns(b, p, depth, begin, columns, b_room, thread)
            p += depth
            for j in range(0, columns * size, PANEL_BYTES):
                wanted, at_b = min(PANEL_BYTES, columns * size - j), data + j // PANEL_BYTES * to_panel
                start_here, relu_here = start + j if start != 0 else 0, relu if p == end else 0
                low = low_rows if wanted == PANEL_BYTES else 0
                for i in range(0, low, LOW_ROWS):
                    low_tile(a, from_a + i * 8, to_c + i * 8, j, no_step.ctypes.data, 1, depth, stride, at_b, row,
                             start_here, width, relu_here)
                for i in range(low, rows, TILE_ROWS):
                    sums(a, from_a + i * 8, to_c + i * 8, j, no_step.ctypes.data, 1, depth, stride, at_b, row,
                         start_here, wanted // size, relu_here)
            start = 0                                            # from here on, add to what is there


@inner
def low_tiles(rows):
    """How many of the tiles over so many rows are to be low ones, for the fewest rows to be left empty."""
    result, fewest = 0, TILE_ROWS
    enough = (rows + TILE_ROWS - 1) // TILE_ROWS
    for tiles in range(enough, enough + 2):
        spare = tiles * TILE_ROWS - rows
        low = min(tiles, spare // (TILE_ROWS - LOW_ROWS))
        if spare - low * (TILE_ROWS - LOW_ROWS) < fewest:
            result, fewest = low, spare - low * (TILE_ROWS - LOW_ROWS)
    return result


@inner
def lay_rows(a, a_turned, first, rows, p, depth, room, thread, table):
    """The addresses of so many rows of A from product p on, and the bytes from a number to its neighbour in the row.

    If there is room, rows are copied there. Past the last row comes any row.
    """
    size = a.itemsize
    along, down = (p, first) if a_turned == 0 else (first, p)        # where the part of `a` begins
    lines, length = (rows, depth) if a_turned == 0 else (depth, rows)
    data, apart = a.ctypes.data + (down * a.shape[1] + along) * size, a.shape[1] * size
    if room.shape[1]:
        copied, copied_apart = room.ctypes.data + thread * room.shape[1] * size, (length + GAP) * size
        copy_lines(a, data, apart, lines, length, copied, copied_apart)
        data, apart = copied, copied_apart
    row_apart, stride = (apart, size) if a_turned == 0 else (size, apart)
    for i in range(table.shape[1]):
        table[0, i] = data + min(i, rows - 1) * row_apart
    return stride


@inner
def copy_lines(like, data, apart, lines, length, target, target_apart):
    """Copy `lines` lines of `length` numbers, `apart` bytes from one to the next, to `target`, target_apart bytes."""
    lanes = VECTOR_BYTES // like.itemsize
    for i in range(lines):
        for j in range(0, length, lanes):
            at = j * like.itemsize
            copy_vector(like, data + i * apart + at, target + i * target_apart + at, length - j)


@inner
def lay_columns(b, p, depth, begin, columns, room, thread):
    """Where columns begin, begin + 1, ... of B lie, products p to p + depth: (address, bytes to a panel, to a row).

    If there is room, they are copied there, panel by panel.
    """
    size = b.itemsize
    width, apart = PANEL_BYTES // size, b.shape[1] * size
    data = b.ctypes.data + p * apart + begin * size
    if room.shape[1] == 0:
        return data, PANEL_BYTES, apart
    copied = room.ctypes.data + thread * room.shape[1] * size
    for j in range(0, columns, width):
        copy_lines(b, data + j * size, apart, depth, min(width, columns - j), copied + j * depth * size, PANEL_BYTES)
    return copied, depth * PANEL_BYTES, PANEL_BYTES
