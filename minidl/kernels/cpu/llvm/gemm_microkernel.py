"""The GEMM microkernel: the loop in which nearly all arithmetic of a network happens.

It computes one register tile of C: MR rows (or LOW_MR), and one or two vectors of columns, of

    C[m, :] = start + sum over t, k of A[m, t, k] * B[t * length + k, :]

Every accumulator stays in a register from the first product to the last. One round of the innermost loop, for MR = 3:

              B: a row of a packed panel           b0        b1
                                                    |         |
    A: element k of each row, splat    a[0] ->    c[0,0]    c[0,1]       c[m, v] += a[m] * b[v]
                                       a[1] ->    c[1,0]    c[1,1]       1 load per row of A, 2 loads of B,
                                       a[2] ->    c[2,0]    c[2,1]       2 * MR fused multiply-adds

Meanwhile it prefetches the lines of C, so that the final stores need not wait for them.

The rows of A lie anywhere: element (m, t, k) is at the address  a_rows[m] + tap_offsets[t] + k * stride.  So a row of A
may be a row of a matrix, or the window of an image around output pixel m, read in place: the tap offsets then lead from
one row of the window to the next. Nothing of A is copied. This is the indirect convolution algorithm (Dukhan,
arXiv:1907.02129) with one pointer per row and tap offsets that all rows share, in place of a pointer per row and tap.
"""

from typing import NamedTuple

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import (
    Vectors,
    each_case,
    i64,
    offset,
    opaque,
    prefetch_write,
    simd_lanes,
    table_entry,
    unpack,
)
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import LOW_MR, MR, VECTOR_BYTES


class TileShape(NamedTuple):
    """Rows and vectors of columns of a tile; whether some columns are masked; and the width of a vector."""

    rows: int
    vectors: int
    masked: bool = False
    vector_bytes: int = VECTOR_BYTES


class RowPointers(NamedTuple):
    """The addresses of two tables of row addresses, of A and C, and the bytes from there to the tile's columns."""

    a: int
    c: int
    c_offset: int


class TapOffsets(NamedTuple):
    """The address of a table of `count` byte offsets. A tap is `length` elements of A, `stride` bytes apart."""

    address: int
    count: int
    length: int
    stride: int


class BPanel(NamedTuple):
    """The address of the first row of B, and the bytes from row to row."""

    address: int
    row_stride: int


SHAPES = (
    TileShape(MR, 2),
    TileShape(MR, 1),
    TileShape(MR, 2, masked=True),
    TileShape(MR, 1, masked=True),
    TileShape(MR, 1, masked=True, vector_bytes=max(16, VECTOR_BYTES // 2)),     # many processors take half the time
    TileShape(LOW_MR, 2),
    TileShape(LOW_MR, 1),
)
FULL, SINGLE, MASKED, MASKED_SINGLE, HALF, LOW, LOW_SINGLE = range(len(SHAPES))


@inner
def tile_shape(like, columns):
    """The shape of a tile of MR rows with this number of columns, at most NR."""
    lanes = VECTOR_BYTES // like.itemsize
    if columns == 2 * lanes:
        return FULL
    if columns == lanes:
        return SINGLE
    if columns <= lanes // 2:
        return HALF
    return MASKED_SINGLE if columns < lanes else MASKED


@intrinsic
def gemm_microkernel(typingctx, like, shape, rows, taps, b, start, columns, relu):
    """Compute a tile.

    like      any array of the element type
    shape     an index into SHAPES. LLVM drops the shapes that a caller cannot choose
    rows      RowPointers;  taps: TapOffsets;  b: BPanel
    start     address of the vectors from which every sum starts (a bias); 0: from what C holds
    columns   the columns of the tile, for masked shapes: no others of B are read, or of C written
    relu      1: the results become max(result, 0); 0: they are unchanged
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, shape, *_, start, columns, relu = values
        operands = [unpack(context, builder, signature.args[i], values[i]) for i in range(2, 5)]
        for tile in each_case(builder, shape, SHAPES):
            emit(builder, element, tile, *operands, start, columns, relu)
        return context.get_dummy_value()
    return types.void(like, types.int64, rows, taps, b, *[types.int64] * 3), generate


def emit(builder, element, tile, rows, taps, b, start, columns, relu):
    """Write the instructions of one shape."""
    lanes = simd_lanes(element)
    vectors = [Vectors(builder, element, offset(builder, columns, (-v, i64(lanes))) if tile.masked else None,
                       tile.vector_bytes) for v in range(tile.vectors)]
    vector = vectors[0]
    cells = [(m, v) for m in range(tile.rows) for v in range(tile.vectors)]

    def load(address, v):
        return vectors[v].load(offset(builder, address, (v, i64(tile.vector_bytes))))

    def prefetch_c(m):
        """Prefetch row m of C: one row in each round, because only a few requests can be outstanding."""
        last = i64(tile.rows - 1)
        row = table_entry(builder, rows.c, builder.select(builder.icmp_signed("<", m, last), m, last))
        for v in range(tile.vectors):
            prefetch_write(builder, offset(builder, builder.add(row, rows.c_offset), (v, i64(tile.vector_bytes))))

    # The accumulators are stack variables here; LLVM promotes each to a register.
    sums = {cell: cgutils.alloca_once(builder, vector.type) for cell in cells}
    a_rows = [table_entry(builder, rows.a, m) for m in range(tile.rows)]
    c_rows = [builder.add(table_entry(builder, rows.c, m), rows.c_offset) for m in range(tile.rows)]
    with builder.if_else(builder.icmp_signed("==", start, i64(0))) as (resume, begin):
        with resume:
            for m, v in cells:
                builder.store(load(c_rows[m], v), sums[m, v])
        with begin:
            starts = [load(start, v) for v in range(tile.vectors)]
            for m, v in cells:
                builder.store(starts[v], sums[m, v])

    b_row = cgutils.alloca_once_value(builder, b.address)
    with cgutils.for_range(builder, taps.count) as tap_loop:
        a_offset = cgutils.alloca_once_value(builder, table_entry(builder, taps.address, tap_loop.index))
        with cgutils.for_range(builder, taps.length) as element_loop:
            prefetch_c(element_loop.index)
            a_here, b_here = opaque(builder, builder.load(a_offset)), builder.load(b_row)
            b_vectors = [load(b_here, v) for v in range(tile.vectors)]
            for m in range(tile.rows):
                a = vector.splat_at(builder.add(a_rows[m], a_here))
                for v in range(tile.vectors):
                    builder.store(vector.fma(a, b_vectors[v], builder.load(sums[m, v])), sums[m, v])
            builder.store(builder.add(a_here, taps.stride), a_offset)
            builder.store(builder.add(b_here, b.row_stride), b_row)

    floor = vector.floor(relu)
    for m, v in cells:
        result = vector.clamp(builder.load(sums[m, v]), floor)
        vectors[v].store(result, offset(builder, c_rows[m], (v, i64(tile.vector_bytes))))
