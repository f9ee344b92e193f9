"""Linear maps of small squares of pixels, all channels at once: what Winograd's convolution does beside its products.

    Y = T X T'        X (n, n) pixels  ->  Y (m, m) pixels, each of them a vector of channels

T is given as a product of sparse matrices, and they are the program: a row of a factor is a sum, an entry of it a
multiplication, or less than that if it is 1, -1 or 0. X is read once and Y written once; between, all is in registers
or next to them. Where the pixels of X and Y lie is told by tables of addresses, as in `tile.py`, and as there this is
written as LLVM instructions.
"""

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.gemm_microkernel import INT, intrinsic_function, number, spread, will_write
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES


def make_square_map(maps, ending="store"):
    """The intrinsic for some maps T = factors[0] @ factors[1] @ ..., told apart by their shapes.

    A call maps one vector of channels:

    square_map(m, n, like, sources, at, targets, to, bias, relu)
    m, n      the shape of T:  n*n pixels  ->  m*m pixels;  if no T has it, nothing happens
    like      any array of the element type
    sources   address of n*n addresses: the pixels of X, row by row;  at: bytes from there to the channels wanted
    targets   address of m*m addresses: the pixels of Y, row by row;  to: likewise
    `ending` says what becomes of the pixels of Y:
    "store"   they are stored;  bias and relu mean nothing
    "add"     they are added to what the targets hold;  likewise
    "finish"  the vector at the address `bias` is added; if relu is 1, what is below 0 becomes 0; then they are stored,
              and the cache is asked for the pixels m further to the right, which come next
    """

    @intrinsic
    def square_map(typingctx, m, n, like, sources, at, targets, to, bias, relu):
        def generate(context, builder, signature, values):
            element = context.get_data_type(signature.args[2].dtype)
            for factors in maps:
                shape = len(factors[0]), len(factors[-1][0])
                rows, columns = (builder.icmp_signed("==", values[i], number(shape[i])) for i in range(2))
                with builder.if_then(builder.and_(rows, columns)):
                    emit(builder, element, factors, ending, *values[3:])
            return context.get_dummy_value()
        return types.void(types.int64, types.int64, like, *[types.int64] * 6), generate

    return square_map


def emit(builder, element, factors, ending, sources, at, targets, to, bias, relu):
    """Write the instructions of a map."""
    size = 4 if isinstance(element, ir.FloatType) else 8
    lanes = VECTOR_BYTES // size
    vector = ir.VectorType(element, lanes)
    n, m = len(factors[-1][0]), len(factors[0])

    def entry(table, i):
        return builder.load(builder.inttoptr(builder.add(table, number(8 * i)), INT.as_pointer()))

    def pixel(table, i, offset):
        return builder.inttoptr(builder.add(entry(table, i), offset), vector.as_pointer())

    def load(pointer):
        return builder.load(pointer, align=size)

    columns = [mapped(builder, factors, [load(pixel(sources, i * n + j, at)) for i in range(n)])
               for j in range(n)]                                            # the columns of T X
    if ending == "finish":
        on = builder.icmp_signed("!=", relu, number(0))
        floor = builder.select(on, ir.Constant(element, 0.0), ir.Constant(element, -math.inf))
        further = builder.mul(builder.sub(entry(targets, 1), entry(targets, 0)), number(m))
        least, start = spread(builder, floor, lanes), load(builder.inttoptr(bias, vector.as_pointer()))
    for i in range(m):
        row = mapped(builder, factors, [column[i] for column in columns])    # row i of (T X) T'
        for j, value in enumerate(row):
            target = pixel(targets, i * m + j, to)
            if ending == "add":
                value = builder.fadd(load(target), value)
            if ending == "finish":
                value = builder.fadd(value, start)
                below = builder.fcmp_ordered("<", value, least)              # NaN is below nothing
                value = builder.select(below, least, value)
                will_write(builder, builder.add(builder.ptrtoint(target, INT), further))
            builder.store(value, target, align=size)


def mapped(builder, factors, values):
    """T @ values."""
    for factor in reversed(factors):
        values = [combination(builder, row, values) for row in factor]
    return values


def combination(builder, coefficients, values):
    """The sum of coefficient * value; it begins with one that needs no multiplication, if there is one."""
    terms = [(float(a), v) for a, v in zip(coefficients, values, strict=True) if a]
    terms.sort(key=lambda term: term[0] != 1)
    (a, total), *rest = terms
    vector = total.type
    bits = 32 if isinstance(vector.element, ir.FloatType) else 64
    fma = intrinsic_function(builder, vector, [vector] * 3, f"llvm.fma.v{vector.count}f{bits}")
    if a != 1:
        total = builder.fmul(ir.Constant(vector, [a] * vector.count), total)
    for a, value in rest:
        if a == 1:
            total = builder.fadd(total, value)
        elif a == -1:
            total = builder.fsub(total, value)
        else:
            total = builder.call(fma, [ir.Constant(vector, [a] * vector.count), value, total])
    return total
