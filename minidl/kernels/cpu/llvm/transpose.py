"""Transposes a matrix in registers, where rows must become columns.

Copied element by element, a transpose reads or writes another line of memory for each element. Here a square as wide as
a vector is loaded as rows, and after log2(width) rounds its vectors are the columns. A round exchanges blocks across
the diagonal: the first one single elements in each 2x2 block, the next one 2x2 blocks in each 4x4 block, and so on:

    a b c d        a e c g        a e i m
    e f g h   ->   b f d h   ->   b f j n
    i j k l        i m k o        c g k o
    m n o p        j n l p        d h l p
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import I32, Vectors, i64, offset
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES


def make_transpose(whole):
    """The intrinsic that transposes a square as wide as a vector or, unless `whole`, a part of one.

    transpose(like, source, source_stride, rows, columns, target, target_stride)
    target[j, i] = source[i, j] for i < rows and j < columns; if `whole`, rows and columns are ignored. Source and
    target are addresses, strides the bytes from row to row. Nothing outside is read or written.
    """

    @intrinsic
    def transpose(typingctx, like, source, source_stride, rows, columns, target, target_stride):
        def generate(context, builder, signature, values):
            element = context.get_data_type(signature.args[0].dtype)
            emit(builder, element, whole, *values[1:])
            return context.get_dummy_value()
        return types.void(like, *[types.int64] * 6), generate

    return transpose


def emit(builder, element, whole, source, source_stride, rows, columns, target, target_stride):
    """Load all rows, transpose them, store the columns."""
    reader, writer = (Vectors(builder, element, None if whole else count) for count in (columns, rows))

    def row(start, stride, i, count):
        """The address of row i; past the end, of the last row, which is written last because rows go in reverse."""
        if not whole:
            last = builder.sub(count, i64(1))
            i = builder.select(builder.icmp_signed("<", i, count), i, last)
        return offset(builder, start, (i, stride))

    vectors = [reader.load(row(source, source_stride, i64(i), rows)) for i in range(reader.lanes)]
    columns_of = exchange(builder, vectors)
    for j in reversed(range(reader.lanes)):
        writer.store(columns_of[j], row(target, target_stride, i64(j), columns))


def exchange(builder, rows):
    """The columns of a square of vectors, found round by round."""
    lanes, side = len(rows), 1
    while side < lanes:
        # Of a pair of vectors, lanes 0 .. lanes - 1 are those of the first, the others those of the second.
        upper = [lane if lane & side == 0 else lanes + lane - side for lane in range(lanes)]
        lower = [lane + side if lane & side == 0 else lanes + lane for lane in range(lanes)]
        for i in (i for i in range(lanes) if i & side == 0):
            pair = rows[i], rows[i + side]
            rows[i], rows[i + side] = (
                builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, lanes), mask)) for mask in (upper, lower))
        side *= 2
    return rows


transpose_square, transpose_part = make_transpose(whole=True), make_transpose(whole=False)


@inner
def transpose(like, source, source_stride, rows, columns, target, target_stride):
    """target[j, i] = source[i, j] for i < rows and j < columns; addresses, and the bytes from row to row."""
    size = like.itemsize
    lanes = VECTOR_BYTES // size
    for j in range(0, columns, lanes):
        for i in range(0, rows, lanes):
            here, there = source + i * source_stride + j * size, target + j * target_stride + i * size
            if i + lanes <= rows and j + lanes <= columns:
                transpose_square(like, here, source_stride, 0, 0, there, target_stride)
            else:
                transpose_part(like, here, source_stride, min(lanes, rows - i), min(lanes, columns - j),
                               there, target_stride)
