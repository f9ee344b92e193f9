"""Two sums along a row, or its maximum, in registers, for layer norm and softmax.

A loop in Python must add up a row in order, one element at a time, and each addition waits for the one before. Here the
row is summed into ACCUMULATORS independent vectors, which are added together at the end:

    row            v0   v1   v2   v3   v4   v5   v6   v7   v8  part
    accumulator    0    1    2    3    0    1    2    3    0    1
                                                        ((0 + 2) + (1 + 3)), then half a vector + the other half, ...

The row must be short enough for the precision of float32: layer norm sums long rows in chunks, and adds the sums in
float64. `reduce_columns.py` has the sums down columns.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import I32, Vectors, element_bytes, i64, offset, pointer_loop, simd_lanes
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

ACCUMULATORS = 4   # for each of the sums: about the latency of an addition, in cycles


@intrinsic
def sum_row_deviations(typingctx, like, x, center, count):
    """The sums of d and of d * d,  d = x - center,  over `count` elements at the address x."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, x, center, count = values

        def terms(vectors, x):
            d = builder.fsub(vectors.load(x), vectors.splat(center))
            if vectors.mask is not None:
                d = builder.select(vectors.mask, d, vectors.zero)
            return d, d
        return emit(builder, element, count, (x,), terms)
    return types.UniTuple(like.dtype, 2)(like, types.int64, like.dtype, types.int64), generate


@intrinsic
def sum_row_products(typingctx, like, grad, weight, x, center, count):
    """The sums of g and of g * (x - center),  g = grad * weight,  over `count` elements at the three addresses."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, weight, x, center, count = values

        def terms(vectors, grad, weight, x):
            return (builder.fmul(vectors.load(grad), vectors.load(weight)),       # 0 in masked lanes
                    builder.fsub(vectors.load(x), vectors.splat(center)))
        return emit(builder, element, count, (grad, weight, x), terms)
    return types.UniTuple(like.dtype, 2)(like, *[types.int64] * 3, like.dtype, types.int64), generate


@intrinsic
def row_maximum(typingctx, like, x, count):
    """The maximum of `count` elements at the address x, at least ACCUMULATORS vectors; any value if one is NaN."""
    def generate(context, builder, signature, values):
        _, x, count = values
        element = context.get_data_type(signature.args[0].dtype)
        vectors, together = Vectors(builder, element), ACCUMULATORS * simd_lanes(element)

        def larger(a, b):
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        def load(address, i):
            return vectors.load(offset(builder, address, (i, i64(VECTOR_BYTES))))

        peaks = [cgutils.alloca_once_value(builder, load(x, i)) for i in range(ACCUMULATORS)]
        with pointer_loop(builder, builder.udiv(count, i64(together)), (x,),
                          (i64(ACCUMULATORS * VECTOR_BYTES),)) as (here,):
            for i, peak in enumerate(peaks):
                builder.store(larger(load(here, i), builder.load(peak)), peak)
        # The last vectors of the row, some of them for the second time.
        end = offset(builder, x, (builder.sub(count, i64(together)), i64(element_bytes(element))))
        return reduce_lanes(builder, [larger(load(end, i), builder.load(peak)) for i, peak in enumerate(peaks)], larger)
    return like.dtype(like, types.int64, types.int64), generate


def emit(builder, element, count, addresses, terms):
    """The sums of a and of a * b over `count` elements at the addresses, where terms(vectors, *addresses) is (a, b)."""
    lanes, vector = simd_lanes(element), i64(VECTOR_BYTES)
    zero = Vectors(builder, element).zero
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(ACCUMULATORS)] for _ in range(2)]

    def add(i, part, addresses):
        vectors = Vectors(builder, element, part)
        a, b = terms(vectors, *addresses)
        builder.store(builder.fadd(builder.load(sums[0][i]), a), sums[0][i])
        builder.store(vectors.fma(a, b, builder.load(sums[1][i])), sums[1][i])

    def at(addresses, vectors):
        return [offset(builder, a, (vectors, vector)) for a in addresses]

    rounds, whole = builder.udiv(count, i64(ACCUMULATORS * lanes)), builder.udiv(count, i64(lanes))
    single, part = builder.urem(whole, i64(ACCUMULATORS)), builder.urem(count, i64(lanes))
    with pointer_loop(builder, rounds, addresses, [i64(ACCUMULATORS * VECTOR_BYTES)] * len(addresses)) as here:
        for i in range(ACCUMULATORS):
            add(i, None, at(here, i))
    after = at(addresses, builder.sub(whole, single))
    with pointer_loop(builder, single, after, [vector] * len(addresses)) as here:
        add(0, None, here)
    with builder.if_then(builder.icmp_signed(">", part, i64(0))):
        add(1, part, at(addresses, whole))
    totals = ([builder.load(s) for s in some] for some in sums)
    return cgutils.pack_array(builder, [reduce_lanes(builder, some, builder.fadd) for some in totals])


def reduce_lanes(builder, vectors, join):
    """All lanes of some vectors, a power of 2 of them, reduced to a scalar by join(a, b), such as an addition."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        vectors = [join(a, b) for a, b in zip(vectors[:half], vectors[half:], strict=True)]
    total, = vectors
    lanes = total.type.count
    while lanes > 1:
        lanes //= 2
        halves = (ir.Constant(ir.VectorType(I32, lanes), list(range(i, i + lanes))) for i in (0, lanes))
        total = join(*(builder.shuffle_vector(total, total, half) for half in halves))
    return builder.extract_element(total, I32(0))
