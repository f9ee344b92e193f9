"""Two sums along a row, in registers, or its largest number: what layer norm and softmax want to know of it.

A loop in Python must add up the numbers of a row in their order, one at a time. Here, as LLVM instructions, each of
SUMS vectors of sums takes every so-manieth vector of the row, and they meet at the end. The row should be short enough
for the cache, and for float32: layer norm goes through long ones in pieces and adds up the pieces in doubles.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.depthwise_microkernel import Vectors, bytes_of, lanes_of, moved, walk
from minidl.kernels.cpu.llvm.gemm_microkernel import LANE, number
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

SUMS = 4           # vectors for each of the sums: an addition takes as many cycles


@intrinsic
def sum_distances(typingctx, like, x, middle, count):
    """The sums of d and of d * d,  d = x - middle,  over `count` numbers at the address x."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, x, middle, count = values

        def terms(vectors, x):
            d = builder.fsub(vectors.load(x), vectors.spread(middle))
            if vectors.mask is not None:
                d = builder.select(vectors.mask, d, ir.Constant(vectors.type, None))
            return d, d
        return summed(builder, element, count, (x,), terms)
    return types.UniTuple(like.dtype, 2)(like, types.int64, like.dtype, types.int64), generate


@intrinsic
def sum_weighted(typingctx, like, grad, weight, x, middle, count):
    """The sums of g and of g * (x - middle),  g = grad * weight,  over `count` numbers at the three addresses."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, weight, x, middle, count = values

        def terms(vectors, grad, weight, x):
            return (builder.fmul(vectors.load(grad), vectors.load(weight)),       # 0 where there is none
                    builder.fsub(vectors.load(x), vectors.spread(middle)))
        return summed(builder, element, count, (grad, weight, x), terms)
    return types.UniTuple(like.dtype, 2)(like, *[types.int64] * 3, like.dtype, types.int64), generate


@intrinsic
def largest_number(typingctx, like, x, count):
    """The largest of `count` numbers at the address x, SUMS vectors of them or more; any, if one of them is NaN."""
    def generate(context, builder, signature, values):
        _, x, count = values
        element = context.get_data_type(signature.args[0].dtype)
        vectors, together = Vectors(builder, element, None), SUMS * lanes_of(element)

        def larger(a, b):
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        def at(address, s):
            return vectors.load(moved(builder, address, (s, number(VECTOR_BYTES))))

        peaks = [cgutils.alloca_once_value(builder, at(x, s)) for s in range(SUMS)]
        with walk(builder, builder.udiv(count, number(together)), (x,), (number(SUMS * VECTOR_BYTES),)) as (here,):
            for s, peak in enumerate(peaks):
                builder.store(larger(at(here, s), builder.load(peak)), peak)
        end = moved(builder, x, (builder.sub(count, number(together)), number(bytes_of(element))))      # some again
        return across(builder, [larger(at(end, s), builder.load(peak)) for s, peak in enumerate(peaks)], larger)
    return like.dtype(like, types.int64, types.int64), generate


def summed(builder, element, count, addresses, terms):
    """The sums of a and of a * b over the numbers at the addresses, of which terms(vectors, *addresses) gives a, b."""
    lanes = lanes_of(element)
    kind = ir.VectorType(element, lanes)
    sums = [[cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in range(SUMS)] for _ in range(2)]

    def add(s, few, addresses):
        vectors = Vectors(builder, element, few)
        a, b = terms(vectors, *addresses)
        builder.store(builder.fadd(builder.load(sums[0][s]), a), sums[0][s])
        builder.store(vectors.fma(a, b, builder.load(sums[1][s])), sums[1][s])

    def on(addresses, vectors):
        return [moved(builder, a, (vectors, number(VECTOR_BYTES))) for a in addresses]

    rounds, whole = builder.udiv(count, number(SUMS * lanes)), builder.udiv(count, number(lanes))
    rest, left = builder.urem(whole, number(SUMS)), builder.urem(count, number(lanes))
    with walk(builder, rounds, addresses, [number(SUMS * VECTOR_BYTES)] * len(addresses)) as here:
        for s in range(SUMS):
            add(s, None, on(here, s))
    after = on(addresses, builder.sub(whole, rest))
    with walk(builder, rest, after, [number(VECTOR_BYTES)] * len(addresses)) as here:
        add(0, None, here)
    with builder.if_then(builder.icmp_signed(">", left, number(0))):
        add(1, left, on(addresses, whole))
    totals = ([builder.load(s) for s in some] for some in sums)
    return cgutils.pack_array(builder, [across(builder, some, builder.fadd) for some in totals])


def across(builder, vectors, join):
    """The sum, or what else `join` makes of two, of all numbers of some vectors, a power of 2 of them."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        vectors = [join(a, b) for a, b in zip(vectors[:half], vectors[half:], strict=True)]
    total, = vectors
    lanes = total.type.count
    while lanes > 1:
        lanes //= 2
        halves = (ir.Constant(ir.VectorType(LANE, lanes), list(range(i, i + lanes))) for i in (0, lanes))
        total = join(*(builder.shuffle_vector(total, total, half) for half in halves))
    return builder.extract_element(total, ir.Constant(LANE, 0))
