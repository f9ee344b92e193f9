"""Sums down the columns of some rows, in registers, for batch norm, group norm and average pooling.

A loop in Python that runs along the rows loads and stores every sum for every row. Here a strip of columns, STRIP
vectors wide, goes down a few rows before its sums are stored:

                |<- strip 0 ->|<- strip 1 ->|                 the sums of a strip stay in registers
    row 0       | v  v  v  v  | v  v  v  v  | v | part        all the way down
    row 1       | v  v  v  v  | v  v  v  v  | v | part
    row 2       | v  v  v  v  | v  v  v  v  | v | part        then single vectors,
                  |  |  |  |    |  |  |  |    |    |          then less than a vector
    sums        | +  +  +  +  | +  +  +  +  | + |  +

Rows must be few enough for the precision of float32: callers sum blocks of BLOCK_ROWS, and add the sums in float64.
`reduce_rows.py` has the sums along rows.
"""

from typing import NamedTuple

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import Vectors, i64, offset, pointer_loop, simd_lanes, unpack
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

BLOCK_ROWS = 64    # rows that are summed in the array's own precision
STREAMS = 3        # rows that are read at a time, of all arrays together; more would be read more slowly
STRIP = 4          # vectors side by side: with two sums for each, enough that none waits for its last addition


class Rows(NamedTuple):
    """`count` rows of `length` elements, `stride` bytes from one to the next."""

    count: int
    stride: int
    length: int


@intrinsic
def sum_columns(typingctx, like, rows, x, sums):
    """Add to `sums` the sum of each column of x.

    like   any array of the element type
    rows   Rows;  x, sums, and all arrays below: addresses
    """
    def generate(context, builder, signature, values):
        def terms(vectors, here, _):
            return [(vectors.load(here[0]),)]
        _, rows, x, sums = values
        return emit(context, builder, signature, rows, [x], [], [sums], terms)
    return types.void(like, rows, *[types.int64] * 2), generate


@intrinsic
def sum_column_deviations(typingctx, like, rows, x, origin, sums, products):
    """Add the sums of d and of d * d,  d = x - origin, where `origin` has one element for each column."""
    def generate(context, builder, signature, values):
        def terms(vectors, here, fixed):
            d = builder.fsub(vectors.load(here[0]), fixed[0])
            return [(d,), (d, d)]
        _, rows, x, origin, *sums = values
        return emit(context, builder, signature, rows, [x], [origin], sums, terms)
    return types.void(like, rows, *[types.int64] * 4), generate


@intrinsic
def sum_column_gradients(typingctx, like, rows, grad, x, mean, sums, products):
    """Add the sums of grad and of grad * (x - mean)."""
    def generate(context, builder, signature, values):
        def terms(vectors, here, fixed):
            grad, x = map(vectors.load, here)
            return [(grad,), (grad, builder.fsub(x, fixed[0]))]
        _, rows, grad, x, mean, *sums = values
        return emit(context, builder, signature, rows, [grad, x], [mean], sums, terms)
    return types.void(like, rows, *[types.int64] * 5), generate


@intrinsic
def sum_column_gradients_by_input(typingctx, like, rows, last, grad, x, mean, scale, bias, sums, products):
    """The same for the elements of grad that ReLU passes,  0 < (x - mean) * scale + bias <= last;  the others are 0."""
    def generate(context, builder, signature, values):
        _, rows, last, grad, x, mean, scale, bias, *sums = values

        def terms(vectors, here, fixed):
            (grad, x), (mean, scale, bias) = map(vectors.load, here), fixed
            distance = builder.fsub(x, mean)
            grad = passed(vectors, grad, builder.fadd(builder.fmul(distance, scale), bias), last)
            return [(grad,), (grad, distance)]
        return emit(context, builder, signature, rows, [grad, x], [mean, scale, bias], sums, terms)
    return types.void(like, rows, like.dtype, *[types.int64] * 7), generate


@intrinsic
def sum_column_gradients_by_output(typingctx, like, rows, last, grad, x, out, passing, mean, sums, products):
    """The same for the elements of grad where  0 < out <= last.  `passing` gets these, and 0 elsewhere."""
    def generate(context, builder, signature, values):
        _, rows, last, grad, x, out, passing, mean, *sums = values

        def terms(vectors, here, fixed):
            grad = passed(vectors, vectors.load(here[0]), vectors.load(here[2]), last)
            vectors.store(grad, here[3])
            return [(grad,), (grad, builder.fsub(vectors.load(here[1]), fixed[0]))]
        return emit(context, builder, signature, rows, [grad, x, out, passing], [mean], sums, terms)
    return types.void(like, rows, like.dtype, *[types.int64] * 7), generate


def passed(vectors, grad, value, last):
    """grad where 0 < value <= last, else 0."""
    builder = vectors.builder
    above = builder.fcmp_ordered(">", value, vectors.zero)
    below = builder.fcmp_ordered("<=", value, vectors.splat(last))
    return builder.select(builder.and_(above, below), grad, vectors.zero)


def emit(context, builder, signature, rows, arrays, columns, sums, terms):
    """Go down the columns of `rows`, and add to the sums at the addresses `sums`.

    terms(vectors, here, fixed) returns, for each sum, what a row adds to it: (a,), or the factors (a, b) of a product.
    `here` are the addresses of the row in each of `arrays`, `fixed` the elements in each of `columns`, one per column.
    """
    element = context.get_data_type(signature.args[0].dtype)
    count, stride, length = unpack(context, builder, signature.args[1], rows)
    lanes, width = simd_lanes(element), len(arrays)

    def strip(vectors_wide, part, row_count, addresses):
        """Some vectors of columns, or `part` columns, down `row_count` rows."""
        vectors, positions = Vectors(builder, element, part), range(vectors_wide)
        addresses = [[offset(builder, a, (v, i64(VECTOR_BYTES))) for a in addresses] for v in positions]
        fixed = [[vectors.load(a) for a in some[width:width + len(columns)]] for some in addresses]
        targets = [some[width + len(columns):] for some in addresses]
        totals = [[cgutils.alloca_once_value(builder, vectors.load(target)) for target in some] for some in targets]
        with pointer_loop(builder, row_count, [a for some in addresses for a in some[:width]],
                          [stride] * (vectors_wide * width)) as here:
            for v in positions:
                added = terms(vectors, here[v * width:(v + 1) * width], fixed[v])
                for total, factors in zip(totals[v], added, strict=True):
                    before = builder.load(total)
                    after = builder.fadd(before, *factors) if len(factors) == 1 else vectors.fma(*factors, before)
                    builder.store(after, total)
        for v in positions:
            for total, target in zip(totals[v], targets[v], strict=True):
                vectors.store(builder.load(total), target)

    whole, part = builder.udiv(length, i64(lanes)), builder.urem(length, i64(lanes))
    strips, single = builder.udiv(whole, i64(STRIP)), builder.urem(whole, i64(STRIP))
    narrow = builder.icmp_signed("<=", length, i64(STRIP * lanes))            # rows are then read from end to end
    most = builder.select(narrow, i64(BLOCK_ROWS), i64(max(1, STREAMS // width)))
    rounds, down = builder.udiv(builder.add(count, builder.sub(most, i64(1))), most), builder.mul(most, stride)
    with pointer_loop(builder, rounds, [count, *arrays],
                      [builder.neg(most), *[down] * width]) as (remaining, *arrays_here):
        row_count = builder.select(builder.icmp_signed("<", remaining, most), remaining, most)
        addresses = [*arrays_here, *columns, *sums]
        with pointer_loop(builder, strips, addresses, [i64(STRIP * VECTOR_BYTES)] * len(addresses)) as here:
            strip(STRIP, None, row_count, here)
        after = [offset(builder, a, (builder.sub(whole, single), i64(VECTOR_BYTES))) for a in addresses]
        with pointer_loop(builder, single, after, [i64(VECTOR_BYTES)] * len(addresses)) as here:
            strip(1, None, row_count, here)
        with builder.if_then(builder.icmp_signed(">", part, i64(0))):
            strip(1, part, row_count, [offset(builder, a, (whole, i64(VECTOR_BYTES))) for a in addresses])
    return context.get_dummy_value()
