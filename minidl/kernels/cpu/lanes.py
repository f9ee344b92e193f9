"""Sums along an axis as vector code, whatever its length: many lines of numbers go side by side, a lane for each.

A line is what is summed over: the scores of one target, say. Memory holds lines one after another (element c of line r
at r * length + c) or, if axes follow theirs, side by side already (at c * apart + r). `bring` copies some lines into a
block (length, lanes) of the cache, where loops over the lanes then are vector code, and `take` brings them back. Lines
one after another are turned on the way, a square of vectors at a time.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.compile import inner
from minidl.kernels.cpu.exponential import exp
from minidl.kernels.cpu.target import VECTOR_BYTES
from minidl.kernels.cpu.tile import LANE, column_masks, intrinsic_function, number

WIDE, NARROW = 64, 32      # lanes of a block; LLVM must not know which when it compiles, or it writes no loops
FITTING = 8192             # numbers of a wide block that the first level of cache has room for


def lines_along(shape, axis):
    """The lines along an axis of a C-contiguous array: (groups, lines of a group, their length, their elements apart).

    The lines of a group lie side by side, or one after another if their elements are 1 apart.
    """
    before, length, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])
    return (1, before, length, 1) if after == 1 else (before, after, length, after)


@inner
def lanes_for(length):
    """How many lines a block holds."""
    return WIDE if WIDE * length <= FITTING else NARROW


@inner
def bring(source, start, apart, count, block):
    """Copy `count` lines, the first of which begins at index `start`, into the first lanes of a block."""
    length, lanes = block.shape
    side, size = VECTOR_BYTES // source.itemsize, source.itemsize
    if apart == 1:
        read, write = source.ctypes.data + start * size, block.ctypes.data
        for r in range(0, count, side):
            for c in range(0, length, side):
                turn(source, read + (r * length + c) * size, length * size, min(side, count - r), min(side, length - c),
                     write + (c * lanes + r) * size, lanes * size)
    else:
        for c in range(length):
            first = np.uintp(start + c * apart)                  # unsigned: an index that is never negative
            for r in range(count):
                block[c, r] = source[first + np.uintp(r)]


@inner
def take(block, count, target, start, apart):
    """The inverse: copy the first lanes of a block to where `bring` found them, or would have."""
    length, lanes = block.shape
    side, size = VECTOR_BYTES // target.itemsize, target.itemsize
    if apart == 1:
        read, write = block.ctypes.data, target.ctypes.data + start * size
        for r in range(0, count, side):
            for c in range(0, length, side):
                turn(target, read + (c * lanes + r) * size, lanes * size, min(side, length - c), min(side, count - r),
                     write + (r * length + c) * size, length * size)
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


@intrinsic
def turn(typingctx, like, source, source_step, rows, columns, target, target_step):
    """target[j, i] = source[i, j] for i < rows and j < columns, each at most as many as a vector has numbers.

    Rows are source_step and target_step bytes apart. Nothing outside is read or written: the last row stands in for
    those that do not exist, and is therefore written last.
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        size = 4 if isinstance(element, ir.FloatType) else 8
        emit(builder, ir.VectorType(element, VECTOR_BYTES // size), size, *values[1:])
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 6), generate


def emit(builder, vector, size, source, source_step, rows, columns, target, target_step):
    """Load all rows, interleave the first half of the vectors with the second until all are turned, store them."""
    side, align = vector.count, ir.Constant(LANE, size)
    name, pointer = f"v{side}f{size * 8}.p0", vector.as_pointer()
    seen, kept = column_masks(builder, side, 1, columns)[0], column_masks(builder, side, 1, rows)[0]
    load = intrinsic_function(builder, vector, [pointer, LANE, seen.type, vector], f"llvm.masked.load.{name}")
    store = intrinsic_function(builder, ir.VoidType(), [vector, pointer, LANE, seen.type], f"llvm.masked.store.{name}")

    def row(start, step, i, count):
        last = builder.sub(count, number(1))
        i = builder.select(builder.icmp_signed("<", number(i), count), number(i), last)
        return builder.inttoptr(builder.add(start, builder.mul(i, step)), pointer)

    vectors = [builder.call(load, [row(source, source_step, i, rows), align, seen, ir.Constant(vector, [0.0] * side)])
               for i in range(side)]
    orders = [[i // 2 + i % 2 * side for i in range(first, first + side)] for first in (0, side)]
    halves = [ir.Constant(ir.VectorType(LANE, side), order) for order in orders]
    for _ in range(side.bit_length() - 1):
        vectors = [builder.shuffle_vector(vectors[i], vectors[i + side // 2], half)
                   for i in range(side // 2) for half in halves]
    for j in reversed(range(side)):
        builder.call(store, [vectors[j], row(target, target_step, j, columns), align, kept])
