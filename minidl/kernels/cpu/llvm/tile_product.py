"""Products of transformed tiles, for Winograd's convolution: matrices whose layout leaves no address to be computed.

The vectors of A lie in blocks, one for each vector of its columns. Within a block, the rows are a vector apart:

                      block 0    block 1            4 rows, 2 lanes; e.g. row 2 of A is a20 a21 a22 a23
    A, 4 x 4          a00 a01    a02 a03
                      a10 a11    a12 a13
                      a20 a21    a22 a23
                      a30 a31    a32 a33

So rows and elements of A lie at distances that are the same for any number of columns, and constants in the program:
unlike `gemm_microkernel.py`, which reads a table of addresses before each tile, a product of 16 columns is worth its
start. All sums stay in registers from the first product to the last.

    tiles x filters       C[t, :] = sum over k of A[t, k] * B[k, :]
    channels x filters    C[k, :] = sum over t of A[t, k] * B[t, :]         for one block of A: k < lanes
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import Vectors, each_case, element_bytes, i64, offset, opaque, simd_lanes
from minidl.kernels.cpu.runtime.target import LOW_MR, MR, VECTOR_BYTES

HEIGHTS = (MR, LOW_MR)
UNROLLED = 4             # rows of B in one round of the innermost loop


class Sums:
    """The accumulators of one tile of C, rows x vectors: LLVM keeps each in a register."""

    def __init__(self, builder, element, rows, vectors, c, fresh):
        self.builder, self.vector, self.c = builder, Vectors(builder, element), c
        self.rows, self.width = rows, vectors * VECTOR_BYTES
        self.cells = {(m, v): cgutils.alloca_once(builder, self.vector.type) for m in range(rows)
                      for v in range(0, self.width, VECTOR_BYTES)}
        with builder.if_else(builder.icmp_signed("!=", fresh, i64(0))) as (begin, resume):
            with begin:
                for cell in self.cells.values():
                    builder.store(self.vector.zero, cell)
            with resume:
                for (m, v), cell in self.cells.items():
                    builder.store(self.vector.load(self.at(c, m * self.width + v)), cell)

    def at(self, address, distance):
        """The address some bytes further on."""
        return self.builder.add(address, i64(distance))

    def add_products(self, a, step, b):
        """Add the product of a column of A, `step` bytes from row to row, and a row of B."""
        row = [self.vector.load(self.at(b, v)) for v in range(0, self.width, VECTOR_BYTES)]
        for m in range(self.rows):
            element = self.vector.splat_at(self.at(a, m * step))
            for i, vector in enumerate(row):
                cell = self.cells[m, i * VECTOR_BYTES]
                self.builder.store(self.vector.fma(element, vector, self.builder.load(cell)), cell)

    def store(self):
        """Write the sums to C."""
        for (m, v), cell in self.cells.items():
            self.vector.store(self.builder.load(cell), self.at(self.c, m * self.width + v))


@intrinsic
def multiply_tiles(typingctx, like, low, single, a, block_bytes, blocks, b, c, fresh):
    """MR rows of C (LOW_MR, if `low`), of two vectors (one, if `single`): their products with some blocks of A.

    like         any array of the element type
    a, b, c      addresses: of the first row in the first block; of B and of C, whose rows follow each other
    block_bytes  from block to block
    fresh        1: the sums start from 0; 0: from what C holds
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, low, single, a, block_bytes, blocks, b, c, fresh = values
        lanes, size = simd_lanes(element), element_bytes(element)
        shapes = [(rows, vectors) for rows in HEIGHTS for vectors in (2, 1)]
        unrolled = min(UNROLLED, lanes)
        for rows, vectors in each_case(builder, offset(builder, single, (low, i64(2))), shapes):
            sums = Sums(builder, element, rows, vectors, c, fresh)
            b_round = i64(unrolled * sums.width)
            with cgutils.for_range(builder, blocks) as block:
                a_block = offset(builder, a, (block.index, block_bytes))
                b_block = offset(builder, b, (block.index, i64(lanes * sums.width)))
                with cgutils.for_range(builder, i64(lanes // unrolled)) as loop:
                    here = opaque(builder, offset(builder, a_block, (loop.index, i64(unrolled * size))))
                    row = offset(builder, b_block, (loop.index, b_round))
                    for k in range(unrolled):
                        sums.add_products(sums.at(here, k * size), VECTOR_BYTES, sums.at(row, k * sums.width))
            sums.store()
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 8), generate


@intrinsic
def multiply_channels(typingctx, like, single, a, b, c, count, fresh):
    """A row of C for each lane of one block of A, of two vectors (one, if `single`): sums over `count` rows of A and B.

    The other arguments are those of `multiply_tiles`.
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, single, a, b, c, count, fresh = values
        lanes, size = simd_lanes(element), element_bytes(element)
        for vectors in each_case(builder, single, (2, 1)):
            rows = lanes // vectors                                            # as many sums in both cases
            for first in range(0, lanes, rows):
                sums = Sums(builder, element, rows, vectors, builder.add(c, i64(first * vectors * VECTOR_BYTES)), fresh)
                with cgutils.for_range(builder, count) as loop:
                    here = offset(builder, builder.add(a, i64(first * size)), (loop.index, i64(VECTOR_BYTES)))
                    sums.add_products(here, size, offset(builder, b, (loop.index, i64(sums.width))))
                sums.store()
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 6), generate
