"""Which numbers ReLU lets through, one bit for each: 1/32 of the memory that its output takes.

A gradient must know where 0 < out < ceiling. Reading `out` again for that would cost as much as reading x; so the
forward pass leaves marks, one word for each vector of a row, and the gradient reads those.
Written as LLVM instructions: no loop in Python turns a comparison of vectors into bits.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.memory import SMALL, empty
from minidl.kernels.cpu.target import VECTOR_BYTES
from minidl.kernels.cpu.tile import number
from minidl.kernels.cpu.window_tile import Vectors, lanes_of, moved, walk

BIT, WORD = ir.IntType(1), ir.IntType(16)         # a word holds the bits of the longest vector, 16 of float32


def marks_for(rows):
    """Room for the marks of all rows: (len(rows), words of a row)"""
    shape = len(rows), -(-rows.shape[1] * rows.itemsize // VECTOR_BYTES)
    return empty(shape, np.uint16) if 2 * math.prod(shape) >= SMALL else np.empty(shape, np.uint16)


@intrinsic
def mark(typingctx, like, source, last, marks, count):
    """Mark those of `count` numbers at the address `source` that are above 0 and no larger than `last`."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, source, last, marks, count = values

        def one_vector(few, source, marks):
            vectors = Vectors(builder, element, few)
            value, zero = vectors.load(source), ir.Constant(vectors.type, None)
            passes = builder.and_(builder.fcmp_ordered(">", value, zero),
                                  builder.fcmp_ordered("<=", value, vectors.spread(last)))
            word = builder.bitcast(passes, ir.IntType(vectors.lanes))
            if vectors.lanes < WORD.width:
                word = builder.zext(word, WORD)
            builder.store(word, builder.inttoptr(marks, WORD.as_pointer()))

        each_word(builder, element, count, (source, marks), one_vector)
        return context.get_dummy_value()
    return types.void(like, types.int64, like.dtype, types.int64, types.int64), generate


@intrinsic
def pass_marked(typingctx, like, source, marks, target, count):
    """Copy `count` numbers from the address `source` to `target`: those that are marked; 0 in place of the others."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, source, marks, target, count = values

        def one_vector(few, source, target, marks):
            vectors = Vectors(builder, element, few)
            word = builder.load(builder.inttoptr(marks, WORD.as_pointer()))
            if vectors.lanes < WORD.width:
                word = builder.trunc(word, ir.IntType(vectors.lanes))
            passes = builder.bitcast(word, ir.VectorType(BIT, vectors.lanes))
            vectors.store(builder.select(passes, vectors.load(source), ir.Constant(vectors.type, None)), target)

        each_word(builder, element, count, (source, target, marks), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 4), generate


def each_word(builder, element, count, addresses, body):
    """Loop over vectors of numbers, and the words of their marks at the last address: body(few, *addresses).

    Four vectors in a round, since there is little to do for each. `few` is None but for the numbers left over, when it
    says how many.
    """
    lanes = number(lanes_of(element))
    whole, rest = builder.udiv(count, lanes), builder.urem(count, lanes)
    steps = [number(VECTOR_BYTES)] * (len(addresses) - 1) + [number(WORD.width // 8)]

    def on(addresses, vectors):
        return [moved(builder, a, (vectors, step)) for a, step in zip(addresses, steps, strict=True)]

    fours, single = builder.udiv(whole, number(4)), builder.urem(whole, number(4))
    with walk(builder, fours, addresses, [builder.mul(number(4), step) for step in steps]) as here:
        for v in range(4):
            body(None, *on(here, v))
    with walk(builder, single, on(addresses, builder.sub(whole, single)), steps) as here:
        body(None, *here)
    with builder.if_then(builder.icmp_signed(">", rest, number(0))):
        body(rest, *on(addresses, whole))
