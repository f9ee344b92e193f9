"""Sums along an axis as vector code, whatever its length: many lines of numbers go side by side, a lane for each.

A line is what is summed over: the scores of one target, say. Memory holds lines one after another (element c of line r
at r * length + c) or, if axes follow theirs, side by side already (at c * apart + r). `bring` copies some lines into a
block (length, lanes) of the cache, where loops over the lanes then are vector code, and `take` brings them back. Lines
one after another are turned on the way (`turn_tile.py`).
"""

import math

import numpy as np
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.transpose import turn_lines
from minidl.kernels.cpu.llvm.vector_math import exp
from minidl.kernels.cpu.runtime.compile import inner

WIDE, NARROW = 128, 32     # lanes of a block; LLVM must not know which when it compiles, or it writes no loops
FITTING = 8192             # numbers of a wide block that the first level of cache has room for
LONG = 64                  # numbers of a line that is long, no fewer than `row_sums.largest_number` wants


def lines_along(shape, axis):
    """The lines along an axis of a C-contiguous array: (groups, lines of a group, their length, their elements apart).

    The lines of a group lie side by side, or one after another if their elements are 1 apart.
    """
    before, length, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])
    return (1, before, length, 1) if after == 1 else (before, after, length, after)


def are_long(lines):
    """Whether lines lie one after another and are long."""
    _, _, length, apart = lines
    return apart == 1 and length >= LONG


@inner
def lanes_for(length):
    """How many lines a block holds."""
    return WIDE if WIDE * length <= FITTING else NARROW


@inner
def place_of(block, lanes, lines):
    """Of a block, counted through all groups: the index of its first number, that of its first line, and its lines."""
    _, lines_of_group, length, apart = lines
    blocks = (lines_of_group + lanes - 1) // lanes
    group, line = block // blocks, block % blocks * lanes
    start = group * lines_of_group * length + line * (length if apart == 1 else 1)
    return start, group * lines_of_group + line, min(lanes, lines_of_group - line)


@inner
def bring(source, start, apart, count, block):
    """Copy `count` lines, the first of which begins at index `start`, into the first lanes of a block."""
    (length, lanes), size = block.shape, source.itemsize
    if apart == 1:
        turn_lines(source, source.ctypes.data + start * size, length * size, count, length,
                   block.ctypes.data, lanes * size)
    else:
        for c in range(length):
            first = np.uintp(start + c * apart)                  # unsigned: an index that is never negative
            for r in range(count):
                block[c, r] = source[first + np.uintp(r)]


@inner
def take(block, count, target, start, apart):
    """The inverse: copy the first lanes of a block to where `bring` found them, or would have."""
    (length, lanes), size = block.shape, target.itemsize
    if apart == 1:
        turn_lines(target, block.ctypes.data, lanes * size, length, count,
                   target.ctypes.data + start * size, length * size)
    else:
        for c in range(length):
            first = np.uintp(start + c * apart)
            for r in range(count):
                target[first + np.uintp(r)] = block[c, r]


@intrinsic
def larger(typingctx, a, b):
    """a if a > b, else b: with no branch, which LLVM would make a masked store of."""
    def generate(context, builder, signature, values):
        return builder.select(builder.fcmp_ordered(">", *values), *values)
    return a(a, a), generate


@inner
def find_largest(block, largest):
    """The largest number of each line."""
    length, lanes = block.shape
    for r in range(lanes):
        largest[r] = block[0, r]
    for c in range(1, length):
        for r in range(lanes):
            largest[r] = larger(block[c, r], largest[r])


@inner
def to_powers(block, largest, sums):
    """Replace each number by exp(number - the largest of its line); `sums` gets the sum of each line."""
    length, lanes = block.shape
    for r in range(lanes):
        sums[r] = 0
    for c in range(length):
        for r in range(lanes):
            power = exp(block[c, r] - largest[r])
            block[c, r] = power
            sums[r] += power
