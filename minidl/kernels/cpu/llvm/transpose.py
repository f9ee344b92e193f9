"""A square of numbers turned in registers, for where rows must become columns.

Number by number, a copy that turns rows into columns reads or writes a line of memory for each of them. Here a vector's
width of rows is read as vectors, and after log2(width) rounds the vectors hold the columns. A round exchanges squares
across the diagonal; the first one those of a single number, in each 2x2 square, the next one 2x2 squares, and so on:

    a b c d        a e c g        a e i m
    e f g h   ->   b f d h   ->   b f j n
    i j k l        i m k o        c g k o
    m n o p        j n l p        d h l p
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.gemm_microkernel import LANE, column_masks, intrinsic_function, number
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES


def make_turn(whole):
    """The intrinsic that turns a square of a vector's width, or so much of it as there is.

    turn(like, source, source_apart, rows, columns, target, target_apart)
    target[j, i] = source[i, j] for i < rows and j < columns, which mean nothing if all squares are `whole`; addresses,
    and the bytes from row to row. Nothing outside is read or written: the last row stands in for those that do not
    exist, and is therefore written last.
    """

    @intrinsic
    def turn(typingctx, like, source, source_apart, rows, columns, target, target_apart):
        def generate(context, builder, signature, values):
            element = context.get_data_type(signature.args[0].dtype)
            size = 4 if isinstance(element, ir.FloatType) else 8
            emit(builder, ir.VectorType(element, VECTOR_BYTES // size), size, whole, *values[1:])
            return context.get_dummy_value()
        return types.void(like, *[types.int64] * 6), generate

    return turn


def emit(builder, vector, size, whole, source, source_apart, rows, columns, target, target_apart):
    """Load all rows, turn them, store the columns."""
    side, align = vector.count, ir.Constant(LANE, size)
    name, pointer, zeros = f"v{side}f{size * 8}.p0", vector.as_pointer(), ir.Constant(vector, [0.0] * side)
    seen, kept = (None if whole else column_masks(builder, side, 1, count)[0] for count in (columns, rows))

    def row(start, apart, i, count):
        if not whole:
            last = builder.sub(count, number(1))
            i = builder.select(builder.icmp_signed("<", i, count), i, last)
        return builder.inttoptr(builder.add(start, builder.mul(i, apart)), pointer)

    def load(address):
        if whole:
            return builder.load(address, align=size)
        masked = intrinsic_function(builder, vector, [pointer, LANE, seen.type, vector], f"llvm.masked.load.{name}")
        return builder.call(masked, [address, align, seen, zeros])

    def store(value, address):
        if whole:
            builder.store(value, address, align=size)
            return
        masked = intrinsic_function(builder, ir.VoidType(), [vector, pointer, LANE, kept.type],
                                    f"llvm.masked.store.{name}")
        builder.call(masked, [value, address, align, kept])

    turned = exchanged(builder, [load(row(source, source_apart, number(i), rows)) for i in range(side)])
    for j in reversed(range(side)):
        store(turned[j], row(target, target_apart, number(j), columns))


def exchanged(builder, rows):
    """The columns of as many vectors as each has lanes, round by round."""
    lanes, side = len(rows), 1
    while side < lanes:
        # Of two vectors, lanes 0 .. lanes - 1 are the first one's, the others the second one's.
        upper = [lane if lane & side == 0 else lanes + lane - side for lane in range(lanes)]
        lower = [lane + side if lane & side == 0 else lanes + lane for lane in range(lanes)]
        for i in (i for i in range(lanes) if i & side == 0):
            pair = rows[i], rows[i + side]
            rows[i], rows[i + side] = (
                builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(LANE, lanes), mask)) for mask in (upper, lower))
        side *= 2
    return rows


turn_square, turn_part = make_turn(whole=True), make_turn(whole=False)


@inner
def turn_lines(like, source, source_apart, rows, columns, target, target_apart):
    """target[j, i] = source[i, j] for i < rows and j < columns: addresses, and the bytes from row to row."""
    size = like.itemsize
    lanes = VECTOR_BYTES // size
    for j in range(0, columns, lanes):
        for i in range(0, rows, lanes):
            here, there = source + i * source_apart + j * size, target + j * target_apart + i * size
            if i + lanes <= rows and j + lanes <= columns:
                turn_square(like, here, source_apart, 0, 0, there, target_apart)
            else:
                turn_part(like, here, source_apart, min(lanes, rows - i), min(lanes, columns - j), there, target_apart)
