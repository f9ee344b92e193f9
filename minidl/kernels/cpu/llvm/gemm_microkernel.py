"""The register tile: the one loop in which nearly all arithmetic of a network happens.

It computes TILE_ROWS rows, or LOW_ROWS, and one or two vectors of columns of a sum of products,

    C[m, :] = start + sum over t, k of A[m, t, k] * B[t * K + k, :]

with every sum held in a register from the first product to the last; meanwhile the cache fetches the lines of C, for
which the processor would wait otherwise when it stores them. What makes one tile serve matrix products,
convolution and both gradients is where A comes from: element (m, t, k) lies at the address

    rows[m] + steps[t] + k * stride

so a "row of A" may be a row of a matrix, or the window of an image around output pixel m, read where it lies: `steps`
then leads from one row of the window to the next. Nothing is copied on the A side. `rows`, `outs` and `steps` are
tables of addresses or of byte distances, filled by the kernels that use the tile.

It is written as LLVM instructions through Numba's `intrinsic`, because no loop in Python can ask for registers.
"""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.runtime.target import LOW_ROWS, TILE_ROWS, VECTOR_BYTES

INT = ir.IntType(64)
LANE = ir.IntType(32)
BYTE = ir.IntType(8)


def number(n):
    """n as a constant."""
    return ir.Constant(INT, n)


def make_tile(vectors, masked, vector_bytes=VECTOR_BYTES, height=TILE_ROWS):
    """The intrinsic for a tile of `height` rows and `vectors` vectors; `masked` if fewer columns may be wanted.

    tile(like, rows, outs, offset, steps, taps, k, stride, b, b_stride, start, columns, relu)
    like      any array of the element type
    rows      address of `height` addresses: the row of A that makes each row of C
    outs      address of `height` addresses, where each row of C begins; the tile's columns are `offset` bytes further
    steps     address of `taps` byte distances;  k: products per tap;  stride: bytes between neighbours of A
    b         address of B, its rows b_stride bytes apart
    start     address of the vectors that every sum starts from (a bias); 0: go on from what C holds
    columns   how many columns there are, if masked: B is read and C written so far and no farther
    relu      1: what is below 0 becomes 0 on the way to C; 0: nothing does
    """

    @intrinsic
    def tile(typingctx, like, rows, outs, offset, steps, taps, k, stride, b, b_stride, start, columns, relu):
        def generate(context, builder, signature, values):
            element = context.get_data_type(signature.args[0].dtype)
            emit(builder, element, vector_bytes, height, vectors, masked, *values[1:])
            return context.get_dummy_value()
        return types.void(like, *[types.int64] * 12), generate

    return tile


@intrinsic
def copy_vector(typingctx, like, source, target, wanted):
    """Copy `wanted` numbers, at most one vector of them, from one address to another."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        size = 4 if isinstance(element, ir.FloatType) else 8
        lanes = VECTOR_BYTES // size
        vector = ir.VectorType(element, lanes)
        source, target = (builder.inttoptr(address, vector.as_pointer()) for address in values[1:3])
        with builder.if_else(builder.icmp_signed(">=", values[3], number(lanes))) as (whole, part):
            with whole:
                builder.store(builder.load(source, align=size), target, align=size)
            with part:
                mask = column_masks(builder, lanes, 1, values[3])[0]
                name, zero = f"v{lanes}f{size * 8}.p0", ir.Constant(vector, [0.0] * lanes)
                load = intrinsic_function(builder, vector, [source.type, LANE, mask.type, vector],
                                          f"llvm.masked.load.{name}")
                store = intrinsic_function(builder, ir.VoidType(), [vector, target.type, LANE, mask.type],
                                           f"llvm.masked.store.{name}")
                numbers = builder.call(load, [source, ir.Constant(LANE, size), mask, zero])
                builder.call(store, [numbers, target, ir.Constant(LANE, size), mask])
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3), generate


def emit(builder, element, vector_bytes, height, vectors, masked,
         rows, outs, offset, steps, taps, k, stride, b, b_stride, start, columns, relu):
    """Write the instructions of a tile."""
    size = 4 if isinstance(element, ir.FloatType) else 8
    lanes = vector_bytes // size
    vector = ir.VectorType(element, lanes)
    fma = intrinsic_function(builder, vector, [vector] * 3, f"llvm.fma.v{lanes}f{size * 8}")
    masks = column_masks(builder, lanes, vectors, columns) if masked else [None] * vectors
    zero = ir.Constant(vector, [0.0] * lanes)

    def vector_at(address, v):
        pointer = builder.inttoptr(builder.add(address, number(v * vector_bytes)), vector.as_pointer())
        if masks[v] is None:
            return builder.load(pointer, align=size)
        name = f"llvm.masked.load.v{lanes}f{size * 8}.p0"
        load = intrinsic_function(builder, vector, [vector.as_pointer(), LANE, masks[v].type, vector], name)
        return builder.call(load, [pointer, ir.Constant(LANE, size), masks[v], zero])

    def store_vector(value, address, v):
        pointer = builder.inttoptr(builder.add(address, number(v * vector_bytes)), vector.as_pointer())
        if masks[v] is None:
            builder.store(value, pointer, align=size)
            return
        name = f"llvm.masked.store.v{lanes}f{size * 8}.p0"
        store = intrinsic_function(builder, ir.VoidType(), [vector, vector.as_pointer(), LANE, masks[v].type], name)
        builder.call(store, [value, pointer, ir.Constant(LANE, size), masks[v]])

    def entry(table, i):
        return builder.load(builder.inttoptr(builder.add(table, builder.mul(i, number(8))), INT.as_pointer()))

    def announce(m):
        """Ask the cache for row m of C, which will be written in the end: row by row, lest too many are awaited."""
        last = number(height - 1)
        row = builder.add(entry(outs, builder.select(builder.icmp_signed("<", m, last), m, last)), offset)
        for v in range(vectors):
            will_write(builder, builder.add(row, number(v * vector_bytes)))

    def spread_at(address):
        scalar = builder.load(builder.inttoptr(address, element.as_pointer()), align=size)
        return spread(builder, scalar, lanes)

    # The sums stand in memory here; LLVM promotes each to a register.
    cells = [(m, v) for m in range(height) for v in range(vectors)]
    sums = {cell: cgutils.alloca_once(builder, vector) for cell in cells}
    starts = [cgutils.alloca_once(builder, vector) for _ in range(vectors)]
    a_rows = [entry(rows, number(m)) for m in range(height)]
    c_rows = [builder.add(entry(outs, number(m)), offset) for m in range(height)]

    with builder.if_else(builder.icmp_signed("==", start, number(0))) as (go_on, begin):
        with go_on:
            for m, v in cells:
                builder.store(vector_at(c_rows[m], v), sums[m, v])
        with begin:
            for v in range(vectors):
                builder.store(vector_at(start, v), starts[v])
            for m, v in cells:
                builder.store(builder.load(starts[v]), sums[m, v])

    b_row = cgutils.alloca_once_value(builder, b)
    with cgutils.for_range(builder, taps) as over_taps:
        distance = cgutils.alloca_once_value(builder, entry(steps, over_taps.index))
        with cgutils.for_range(builder, k) as over_products:
            announce(over_products.index)
            at, row = hidden(builder, builder.load(distance)), builder.load(b_row)
            b_vectors = [vector_at(row, v) for v in range(vectors)]
            for m in range(height):
                a = spread_at(builder.add(a_rows[m], at))
                for v in range(vectors):
                    builder.store(builder.call(fma, [a, b_vectors[v], builder.load(sums[m, v])]), sums[m, v])
            builder.store(builder.add(at, stride), distance)
            builder.store(builder.add(row, b_stride), b_row)

    on = builder.icmp_signed("!=", relu, number(0))
    least = spread(builder, builder.select(on, ir.Constant(element, 0.0), ir.Constant(element, -math.inf)), lanes)
    for m, v in cells:
        total = builder.load(sums[m, v])
        below = builder.fcmp_ordered("<", total, least)              # NaN is below nothing
        store_vector(builder.select(below, least, total), c_rows[m], v)


def column_masks(builder, lanes, vectors, columns):
    """For each vector, which of its lanes lie before `columns`."""
    count = ir.VectorType(INT, lanes)
    wanted = spread(builder, columns, lanes)
    return [builder.icmp_signed("<", ir.Constant(count, [v * lanes + i for i in range(lanes)]), wanted)
            for v in range(vectors)]


def will_write(builder, address):
    """Ask the nearest cache for the line at an address, which will be written soon."""
    prefetch(builder, address, writing=1, keeping=3)


def prefetch(builder, address, writing, keeping):
    """Ask a cache for the line at an address; any address will do.   keeping: 3 for the nearest cache, 2 the next"""
    line = builder.inttoptr(address, BYTE.as_pointer())
    function = intrinsic_function(builder, ir.VoidType(), [line.type, LANE, LANE, LANE], "llvm.prefetch.p0")
    builder.call(function, [line, LANE(writing), LANE(keeping), LANE(1)])        # of data, not of instructions


def spread(builder, scalar, lanes):
    """A vector with `scalar` in every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(LANE, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(LANE, lanes), [0] * lanes))


def hidden(builder, value):
    """`value`, in a way that LLVM cannot see through.

    It would otherwise keep a running pointer for each row of A, more than there are registers, and store them all in
    each round of the innermost loop, which cost a fifth of the speed.
    """
    return builder.asm(ir.FunctionType(INT, [INT]), "", "=r,0", [value], side_effect=True)


def intrinsic_function(builder, result, arguments, name):
    """One of LLVM's own functions, declared in the module under construction."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


wide_tile = make_tile(2, masked=False)                         # two full vectors of columns
single_tile = make_tile(1, masked=False)                       # one
low_tile = make_tile(2, masked=False, height=LOW_ROWS)         # of fewer rows: 16 fill two of 8, but not two of 14
low_single_tile = make_tile(1, masked=False, height=LOW_ROWS)
wide_edge_tile = make_tile(2, masked=True)                     # the columns left over, more than one vector of them
edge_tile = make_tile(1, masked=True)                          # or up to one
half_tile = make_tile(1, masked=True, vector_bytes=max(16, VECTOR_BYTES // 2))     # or up to half of one, which
#                                                                 many processors compute in half of the time
