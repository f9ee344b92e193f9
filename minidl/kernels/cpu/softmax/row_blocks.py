"""Row blocks: reductions along short rows as vector code across rows.

A row holds the elements of one reduction, such as the scores of one target. In memory, rows follow one another (element
c of row r at r * length + c) or, if axes come after the one reduced, lie side by side (at c * stride + r).
`load_transposed` copies some rows into a block (length, rows), so that loops over its rows are vector code, and
`store_transposed` copies them back:

    memory         block
    a b c d        a e i m    <- largest = max(largest, element), for four rows at once
    e f g h   ->   b f j n
    i j k l        c g k o
    m n o p        d h l p
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.llvm.reduce_rows import sum_row_deviations, sum_row_products
from minidl.kernels.cpu.llvm.transpose import transpose
from minidl.kernels.cpu.llvm.vector_math import exp, maximum
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.work import FEW, ceil_div

MANY_ROWS, FEW_ROWS = 128, 32     # rows of a block; were the number known to LLVM, it would unroll the loops over rows
BLOCK_SIZE = 8192                 # elements of a block of MANY_ROWS that fit the L1 cache
LONG_ROW = 64                     # elements; `reduce_rows.row_maximum` needs at least as many
CHUNK = 2048                      # elements of a row that are summed in its own precision


class RowLayout(NamedTuple):
    """Where the rows along an axis of a C-contiguous array lie.

    There are `groups` groups of `count` rows, of `length` elements that are `stride` elements apart. If `stride` is 1,
    rows follow one another; else the rows of a group lie side by side.
    """

    groups: int
    count: int
    length: int
    stride: int


def rows_along(shape, axis):
    """The RowLayout of an axis of a C-contiguous array."""
    before, length, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])
    return RowLayout(1, before, length, 1) if after == 1 else RowLayout(before, after, length, after)


def are_long(layout):
    """Whether rows follow one another and are long: the L1 cache then holds such a row, but not a block of them."""
    return layout.stride == 1 and layout.length >= LONG_ROW


@inner
def block_rows(length):
    """The rows of a block."""
    return MANY_ROWS if MANY_ROWS * length <= BLOCK_SIZE else FEW_ROWS


@inner
def block_count(rows, layout):
    """The blocks of all groups, for blocks of `rows` rows."""
    return layout.groups * ceil_div(layout.count, rows)


@inner
def locate_block(block, rows, layout):
    """(Index of the first element, index of the first row, number of rows) of a block, counted over all groups."""
    blocks = ceil_div(layout.count, rows)
    group, row = block // blocks, block % blocks * rows
    start = group * layout.count * layout.length + row * (layout.length if layout.stride == 1 else 1)
    return start, group * layout.count + row, min(rows, layout.count - row)


@inner
def load_transposed(source, start, stride, count, block):
    """Copy `count` rows, from index `start` on, into the first columns of a block."""
    (length, rows), size = block.shape, source.itemsize
    if stride == 1:
        transpose(source, source.ctypes.data + start * size, length * size, count, length,
                  block.ctypes.data, rows * size)
    else:
        for c in range(length):
            first = np.uintp(start + c * stride)                 # unsigned: an index that is never negative
            for r in range(count):
                block[c, r] = source[first + np.uintp(r)]


@inner
def store_transposed(block, count, target, start, stride):
    """The inverse of `load_transposed`."""
    (length, rows), size = block.shape, target.itemsize
    if stride == 1:
        transpose(target, block.ctypes.data, rows * size, length, count,
                  target.ctypes.data + start * size, length * size)
    else:
        for c in range(length):
            first = np.uintp(start + c * stride)
            for r in range(count):
                target[first + np.uintp(r)] = block[c, r]


@inner
def find_maxima(block, largest):
    """The largest element of each row."""
    length, rows = block.shape
    for r in range(rows):
        largest[r] = block[0, r]
    for c in range(1, length):
        for r in range(rows):
            largest[r] = maximum(block[c, r], largest[r])


@inner
def exponentiate(block, largest, sums, totals):
    """Replace each element by exp(element - the largest of its row); `sums` gets the sum of each row."""
    length, rows = block.shape
    sums[:], totals[:] = 0, 0
    for c in range(length):
        for r in range(rows):
            power = exp(block[c, r] - largest[r])
            block[c, r] = power
            sums[r] += power
        carry(c, length, sums, totals)


@inner
def carry(c, length, sums, totals):
    """After class c of `length`, add `sums` to `totals`, which are float64, if they are of many classes or final."""
    if c + 1 == length:
        for r in range(len(sums)):
            sums[r] = totals[r] + sums[r]
    elif c % FEW == FEW - 1:
        for r in range(len(sums)):
            totals[r] += sums[r]
            sums[r] = 0


@inner
def row_sum(like, address, count):
    """The sum of a row of `count` elements: of chunks in their own precision, and of their sums in float64."""
    total = 0.0
    for first in range(0, count, CHUNK):
        total += sum_row_deviations(like, address + first * like.itemsize, like.dtype.type(0),
                                    min(CHUNK, count - first))[0]
    return like.dtype.type(total)


@inner
def row_products(like, a, b, x, center, count):
    """The sums of g and of g * (x - center) over a row, likewise,  g = a * b;  a, b, x: addresses"""
    total, product = 0.0, 0.0
    for first in range(0, count, CHUNK):
        at = first * like.itemsize
        g, gx = sum_row_products(like, a + at, b + at, x + at, center, min(CHUNK, count - first))
        total += g
        product += gx
    return like.dtype.type(total), like.dtype.type(product)
