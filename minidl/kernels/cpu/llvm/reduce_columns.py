"""Sums down the columns of some rows, in registers: what batch norm, group norm and average pooling want to know.

A loop in Python that goes along the rows must load and store each sum for each row. Here, as LLVM instructions, a strip
of columns, a few vectors wide, goes down all the rows before its sums are stored. The rows should be few enough for
float32; who has more adds up blocks of them in doubles. `row_sums.py` is this turned by a right angle.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.depthwise_microkernel import Vectors, lanes_of, moved, walk
from minidl.kernels.cpu.llvm.gemm_microkernel import number
from minidl.kernels.cpu.normalization.pixel_rows import BLOCK
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

STREAMS = 3        # rows that are read at a time, of all arrays together: more, and memory does not keep up
STRIP = 4          # vectors side by side: with two sums for each, enough that none waits for its last addition


@intrinsic
def sum_columns(typingctx, like, count, apart, length, x, sums):
    """Add to `sums` the sum of each column of `count` rows of `length` numbers, `apart` bytes from one to the next.

    Arrays are given by their addresses; `like` is any array of their type.
    """
    def generate(context, builder, signature, values):
        def terms(vectors, here, _):
            return [(vectors.load(here[0]),)]
        return summed(context, builder, signature, values[1:4], values[4:5], [], values[5:], terms)
    return types.void(like, *[types.int64] * 5), generate


@intrinsic
def sum_deviations(typingctx, like, count, apart, length, x, origin, sums, squares):
    """Add the sums of d and of d * d,  d = x - origin, where `origin` is a row of numbers, one for each column."""
    def generate(context, builder, signature, values):
        def terms(vectors, here, fixed):
            d = builder.fsub(vectors.load(here[0]), fixed[0])
            return [(d,), (d, d)]
        return summed(context, builder, signature, values[1:4], values[4:5], values[5:6], values[6:], terms)
    return types.void(like, *[types.int64] * 7), generate


@intrinsic
def sum_gradients(typingctx, like, count, apart, length, grad, x, middle, sums, products):
    """Add the sums of grad and of grad * (x - middle)."""
    def generate(context, builder, signature, values):
        def terms(vectors, here, fixed):
            grad, x = map(vectors.load, here)
            return [(grad,), (grad, builder.fsub(x, fixed[0]))]
        return summed(context, builder, signature, values[1:4], values[4:6], values[6:7], values[7:], terms)
    return types.void(like, *[types.int64] * 8), generate


@intrinsic
def sum_passing(typingctx, like, count, apart, length, last, grad, x, middle, scale, bias, sums, products):
    """The same of the grads where  0 < (x - middle) * scale + bias <= last."""
    def generate(context, builder, signature, values):
        def terms(vectors, here, fixed):
            (grad, x), (middle, scale, bias) = map(vectors.load, here), fixed
            distance = builder.fsub(x, middle)
            grad = passing(vectors, grad, builder.fadd(builder.fmul(distance, scale), bias), values[4])
            return [(grad,), (grad, distance)]
        return summed(context, builder, signature, values[1:4], values[5:7], values[7:10], values[10:], terms)
    return types.void(like, *[types.int64] * 3, like.dtype, *[types.int64] * 7), generate


@intrinsic
def sum_decided(typingctx, like, count, apart, length, last, grad, x, out, passed, middle, sums, products):
    """The same of the grads where  0 < out <= last, which `passed` gets; it holds 0 elsewhere."""
    def generate(context, builder, signature, values):
        def terms(vectors, here, fixed):
            grad = passing(vectors, vectors.load(here[0]), vectors.load(here[2]), values[4])
            vectors.store(grad, here[3])
            return [(grad,), (grad, builder.fsub(vectors.load(here[1]), fixed[0]))]
        return summed(context, builder, signature, values[1:4], values[5:9], values[9:10], values[10:], terms)
    return types.void(like, *[types.int64] * 3, like.dtype, *[types.int64] * 7), generate


def passing(vectors, grad, value, last):
    """grad where 0 < value <= last, else 0."""
    builder, zero = vectors.builder, ir.Constant(vectors.type, None)
    above, below = builder.fcmp_ordered(">", value, zero), builder.fcmp_ordered("<=", value, vectors.spread(last))
    return builder.select(builder.and_(above, below), grad, zero)


def summed(context, builder, signature, shape, rows, columns, targets, terms):
    """Go down the columns of `shape` = (count, apart, length), and add the sums to what stands at `targets`.

    terms(vectors, here, fixed) gives for each sum what a row adds to it: (a,) or the factors (a, b) of a product.
    `here` are the addresses of the row in each of `rows`, `fixed` the numbers of the columns in each of `columns`.
    """
    element = context.get_data_type(signature.args[0].dtype)
    (count, apart, length), lanes, rowed = shape, lanes_of(element), len(rows)

    def strip(width, few, count, addresses):
        """A few vectors of columns, down `count` rows."""
        vectors, places = Vectors(builder, element, few), range(width)
        addresses = [[moved(builder, a, (v, number(VECTOR_BYTES))) for a in addresses] for v in places]
        fixed = [[vectors.load(a) for a in some[rowed:rowed + len(columns)]] for some in addresses]
        goals = [some[rowed + len(columns):] for some in addresses]
        sums = [[cgutils.alloca_once_value(builder, vectors.load(goal)) for goal in some] for some in goals]
        with walk(builder, count, [a for some in addresses for a in some[:rowed]], [apart] * (width * rowed)) as here:
            for v in places:
                for total, factors in zip(sums[v], terms(vectors, here[v * rowed:(v + 1) * rowed], fixed[v]),
                                          strict=True):
                    before = builder.load(total)
                    after = builder.fadd(before, *factors) if len(factors) == 1 else vectors.fma(*factors, before)
                    builder.store(after, total)
        for v in places:
            for total, goal in zip(sums[v], goals[v], strict=True):
                vectors.store(builder.load(total), goal)

    whole, left = builder.udiv(length, number(lanes)), builder.urem(length, number(lanes))
    strips, rest = builder.udiv(whole, number(STRIP)), builder.urem(whole, number(STRIP))
    narrow = builder.icmp_signed("<=", length, number(STRIP * lanes))         # its rows are read from end to end
    most = builder.select(narrow, number(BLOCK), number(max(1, STREAMS // rowed)))
    rounds, down = builder.udiv(builder.add(count, builder.sub(most, number(1))), most), builder.mul(most, apart)
    with walk(builder, rounds, [count, *rows], [builder.neg(most), *[down] * rowed]) as (remaining, *rows_here):
        some = builder.select(builder.icmp_signed("<", remaining, most), remaining, most)
        addresses = [*rows_here, *columns, *targets]
        with walk(builder, strips, addresses, [number(STRIP * VECTOR_BYTES)] * len(addresses)) as here:
            strip(STRIP, None, some, here)
        after = [moved(builder, a, (builder.sub(whole, rest), number(VECTOR_BYTES))) for a in addresses]
        with walk(builder, rest, after, [number(VECTOR_BYTES)] * len(addresses)) as here:
            strip(1, None, some, here)
        with builder.if_then(builder.icmp_signed(">", left, number(0))):
            strip(1, left, some, [moved(builder, a, (whole, number(VECTOR_BYTES))) for a in addresses])
    return context.get_dummy_value()
