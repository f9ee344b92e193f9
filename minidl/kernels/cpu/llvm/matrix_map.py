"""Linear maps of n x n pixels, all channels at once: the transforms of Winograd's convolution.

    Y = T X T'        X: n x n pixels  ->  Y: m x m pixels, each a vector of channels

    x x x x
    x x x x    T     t t t t     T'      y y         n = 4, m = 2: T X first, column by column,
    x x x x   --->   t t t t    --->     y y         then (T X) T', row by row
    x x x x

T is a product of sparse matrices. Each row of such a factor becomes a sum of pixels, and each entry a coefficient: 1
and -1 need no multiplication, and 0 no addition. X is read once and Y written once; everything between stays in
registers, or in the L1 cache. Tables of addresses say where the pixels of X and Y lie.
"""

from typing import NamedTuple

from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import Vectors, i64, prefetch_write, table_entry, unpack


class Pixels(NamedTuple):
    """The address of a table of pixel addresses, row by row, and the bytes from there to a vector of channels."""

    table: int
    offset: int


def make_matrix_map(maps, epilogue="store"):
    """The intrinsic for several maps T = factors[0] @ factors[1] @ ..., each of another shape.

    matrix_map(like, m, n, source, target, bias, relu) maps one vector of channels.
    like      any array of the element type
    m, n      the shape of T; if no T has it, nothing happens
    source    Pixels: n * n pixels of X;  target: Pixels: m * m pixels of Y
    `epilogue` says what happens to the pixels of Y:
    "store"   they are stored; bias and relu are ignored
    "add"     they are added to the target; bias and relu are ignored
    "finish"  the vector at the address `bias` is added, negative elements become 0 if relu is 1, and they are stored;
              the pixels of the next tile, m to the right, are prefetched
    """

    @intrinsic
    def matrix_map(typingctx, like, m, n, source, target, bias, relu):
        def generate(context, builder, signature, values):
            vectors = Vectors(builder, context.get_data_type(signature.args[0].dtype))
            source, target = (unpack(context, builder, signature.args[i], values[i]) for i in (3, 4))
            for factors in maps:
                shape = len(factors[0]), len(factors[-1][0])
                rows, columns = (builder.icmp_signed("==", values[1 + i], i64(shape[i])) for i in range(2))
                with builder.if_then(builder.and_(rows, columns)):
                    emit(vectors, factors, epilogue, source, target, *values[5:])
            return context.get_dummy_value()
        return types.void(like, types.int64, types.int64, source, target, types.int64, types.int64), generate

    return matrix_map


def emit(vectors, factors, epilogue, source, target, bias, relu):
    """Write the instructions of a map."""
    builder, n, m = vectors.builder, len(factors[-1][0]), len(factors[0])

    def address(pixels, i):
        return builder.add(table_entry(builder, pixels.table, i), pixels.offset)

    columns = [mapped(vectors, factors, [vectors.load(address(source, i * n + j)) for i in range(n)])
               for j in range(n)]                                            # the columns of T X
    if epilogue == "finish":
        first, second = (table_entry(builder, target.table, i) for i in range(2))
        next_tile = builder.mul(builder.sub(second, first), i64(m))
        floor, start = vectors.floor(relu), vectors.load(bias)
    for i in range(m):
        row = mapped(vectors, factors, [column[i] for column in columns])    # row i of (T X) T'
        for j, value in enumerate(row):
            here = address(target, i * m + j)
            if epilogue == "add":
                value = builder.fadd(vectors.load(here), value)
            if epilogue == "finish":
                value = vectors.clamp(builder.fadd(value, start), floor)
                prefetch_write(builder, builder.add(here, next_tile))
            vectors.store(value, here)


def mapped(vectors, factors, values):
    """T @ values."""
    for factor in reversed(factors):
        values = [combination(vectors, row, values) for row in factor]
    return values


def combination(vectors, coefficients, values):
    """The sum of coefficient * value, beginning with a term that needs no multiplication, if there is one."""
    builder = vectors.builder
    terms = [(float(a), v) for a, v in zip(coefficients, values, strict=True) if a]
    terms.sort(key=lambda term: term[0] != 1)
    (a, total), *rest = terms
    if a != 1:
        total = builder.fmul(vectors.constant(a), total)
    for a, value in rest:
        if a == 1:
            total = builder.fadd(total, value)
        elif a == -1:
            total = builder.fsub(total, value)
        else:
            total = vectors.fma(vectors.constant(a), value, total)
    return total
