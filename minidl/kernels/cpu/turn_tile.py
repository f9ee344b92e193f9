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

from minidl.kernels.cpu.compile import inner
from minidl.kernels.cpu.target import VECTOR_BYTES
from minidl.kernels.cpu.tile import LANE, number


@intrinsic
def turn_square(typingctx, like, source, source_apart, target, target_apart):
    """target[j, i] = source[i, j] for a square of a vector's width: addresses, and the bytes from row to row."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        size = 4 if isinstance(element, ir.FloatType) else 8
        lanes = VECTOR_BYTES // size
        pointer = ir.VectorType(element, lanes).as_pointer()

        def row(address, apart, i):
            return builder.inttoptr(builder.add(address, builder.mul(apart, number(i))), pointer)

        rows = [builder.load(row(*values[1:3], i), align=size) for i in range(lanes)]
        for i, column in enumerate(columns(builder, rows)):
            builder.store(column, row(*values[3:], i), align=size)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 4), generate


def columns(builder, rows):
    """As many vectors as each has lanes, turned round by round."""
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


@inner
def turn_into(target, source):
    """target[j, i] = source[i, j].   source (R, C), target (C, R); the numbers of each row lie side by side"""
    r, c = source.shape
    size = source.itemsize
    lanes = VECTOR_BYTES // size
    whole_r, whole_c = r // lanes * lanes, c // lanes * lanes
    from_source, from_target = source.ctypes.data, target.ctypes.data
    apart, target_apart = source.strides[0], target.strides[0]
    for j in range(0, whole_c, lanes):
        for i in range(0, whole_r, lanes):
            turn_square(source, from_source + i * apart + j * size, apart,
                        from_target + j * target_apart + i * size, target_apart)
    for i in range(r):
        for j in range(whole_c if i < whole_r else 0, c):
            target[j, i] = source[i, j]
