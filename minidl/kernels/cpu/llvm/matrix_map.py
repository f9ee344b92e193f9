"""Linear maps of n x n pixels, all channels at once: the transforms of Winograd's convolution.

    Y = T X T'        X: n x n pixels  ->  Y: m x m pixels, each a vector of channels

    x x x x
    x x x x    T     t t t t     T'      y y         n = 4, m = 2: T X first, column by column,
    x x x x   --->   t t t t    --->     y y         then (T X) T', row by row
    x x x x

T is a product of sparse matrices. Each row of such a factor becomes a sum of pixels, and each entry a coefficient: 1
and -1 need no multiplication, and 0 no addition. X is read once and Y written once; everything between stays in
registers, or in the L1 cache. The pixels of X and Y are equally spaced. Where the border of an image cuts a tile, the
pixels beyond it are read and written elsewhere.
"""

from typing import NamedTuple

from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import Vectors, i64, offset, prefetch, prefetch_write, unpack


class Pixels(NamedTuple):
    """Pixel (i, j) of a tile is the vector at address + i * row + j * column."""

    address: int
    row: int
    column: int


class Inside(NamedTuple):
    """The pixels of a tile that an image has: rows top ... bottom - 1, columns left ... right - 1.

    `outside` is the address of a vector that stands for each of the others.
    """

    top: int
    bottom: int
    left: int
    right: int
    outside: int


def make_matrix_map(maps, cut=None, epilogue="store"):
    """The intrinsic for several maps T = factors[0] @ factors[1] @ ..., each of another shape.

    matrix_map(like, m, n, source, target, inside, ahead, bias, relu) maps one vector of channels.
    like      any array of the element type
    m, n      the shape of T; if no T has it, nothing happens
    source    Pixels: n * n pixels of X;  target: Pixels: m * m pixels of Y
    inside    Inside: which pixels of the source or the target, whatever `cut` says, an image has; else ignored
    ahead     bytes to a pixel that is used soon, and so prefetched, from each pixel that is read or, by "finish",
              written; 0: none is, and "finish" stores past the caches, where the target must be aligned
    `epilogue` says what happens to the pixels of Y:
    "store"   they are stored; bias and relu are ignored
    "add"     they are added to the target; bias and relu are ignored
    "finish"  the vector at the address `bias` is added, negative elements become 0 if relu is 1, and they are stored
    """

    @intrinsic
    def matrix_map(typingctx, like, m, n, source, target, inside, ahead, bias, relu):
        def generate(context, builder, signature, values):
            vectors = Vectors(builder, context.get_data_type(signature.args[0].dtype))
            source, target, inside = (unpack(context, builder, signature.args[i], values[i]) for i in (3, 4, 5))
            for factors in maps:
                shape = len(factors[0]), len(factors[-1][0])
                rows, columns = (builder.icmp_signed("==", values[1 + i], i64(shape[i])) for i in range(2))
                with builder.if_then(builder.and_(rows, columns)):
                    emit_cases(vectors, Map(factors, cut, epilogue, source, target, inside, *values[6:]))
            return context.get_dummy_value()
        return types.void(like, *[types.int64] * 2, source, target, inside, *[types.int64] * 3), generate

    return matrix_map


class Map(NamedTuple):
    """What `emit` needs to know: see `make_matrix_map`. `streaming` as a Python bool: past the caches."""

    factors: tuple
    cut: str | None
    epilogue: str
    source: Pixels
    target: Pixels
    inside: Inside
    ahead: object
    bias: object
    relu: object
    streaming: bool = False


def emit_cases(vectors, one):
    """Write the instructions of a map: once for whole tiles, and once for those that a border cuts."""
    builder, ahead = vectors.builder, vectors.builder.icmp_signed("!=", one.ahead, i64(0))
    if one.cut is None:
        emit(vectors, one)
        return
    side = i64(len(one.factors[-1][0] if one.cut == "source" else one.factors[0]))
    whole = builder.icmp_signed("<=", one.inside.top, i64(0))
    for edge, limit in ((one.inside.bottom, side), (one.inside.right, side), (i64(0), one.inside.left)):
        whole = builder.and_(whole, builder.icmp_signed(">=", edge, limit))
    with builder.if_else(whole, likely=True) as (all_inside, some):
        with all_inside:
            if one.epilogue != "finish":
                emit(vectors, one._replace(cut=None))
            else:
                with builder.if_else(ahead) as (cached, past):
                    with cached:
                        emit(vectors, one._replace(cut=None))
                    with past:
                        emit(vectors, one._replace(cut=None, streaming=True))
        with some:
            emit(vectors, one)
    if one.cut == "source":
        with builder.if_then(ahead):
            prefetch_tile(builder, one)


def prefetch_tile(builder, one):
    """Prefetch the pixels `ahead` of the source's, but where tiles overlap not the outermost, which others prefetch."""
    n, overlap = len(one.factors[-1][0]), len(one.factors[0]) == len(one.factors[-1][0])
    for i in range(overlap, n - overlap):
        for j in range(overlap, n - overlap):
            prefetch(builder, builder.add(pixel(builder, one.source, i, j), one.ahead), locality=3)


def pixel(builder, pixels, i, j):
    """The address of pixel (i, j)."""
    return offset(builder, pixels.address, (i, pixels.row), (j, pixels.column))


def emit(vectors, one):
    """Write the instructions of a map."""
    builder, n, m = vectors.builder, len(one.factors[-1][0]), len(one.factors[0])

    def address(pixels, i, j, cut):
        here = pixel(builder, pixels, i, j)
        return builder.select(is_inside(builder, one.inside, i, j), here, one.inside.outside) if cut else here

    columns = [mapped(vectors, one.factors, [vectors.load(address(one.source, i, j, one.cut == "source"))
                                             for i in range(n)]) for j in range(n)]           # the columns of T X
    if one.epilogue == "finish":
        floor, start = vectors.floor(one.relu), vectors.load(one.bias)
    for i in range(m):
        row = mapped(vectors, one.factors, [column[i] for column in columns])                 # row i of (T X) T'
        for j, value in enumerate(row):
            here = address(one.target, i, j, one.cut == "target")
            if one.epilogue == "add":
                value = builder.fadd(vectors.load(here), value)
            if one.epilogue == "finish":
                value = vectors.clamp(builder.fadd(value, start), floor)
            if one.epilogue == "finish" and one.cut is None and not one.streaming:
                prefetch_write(builder, builder.add(here, one.ahead))
            (vectors.stream if one.streaming else vectors.store)(value, here)


def is_inside(builder, inside, i, j):
    """Whether the image has pixel (i, j)."""
    rows = (builder.icmp_signed("<=", inside.top, i64(i)), builder.icmp_signed(">", inside.bottom, i64(i)))
    columns = (builder.icmp_signed("<=", inside.left, i64(j)), builder.icmp_signed(">", inside.right, i64(j)))
    return builder.and_(builder.and_(*rows), builder.and_(*columns))


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
