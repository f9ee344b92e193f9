"""Which tile computes a product, and into how many slices its inner length is cut: by shape alone.

So a product has the same bits on every GPU of one generation. The constants are those of a large GPU; nothing depends
on the size of the real one.
"""

import functools
from typing import NamedTuple

from minidl.device import array_module
from minidl.kernels.gpu.columns import counters
from minidl.kernels.gpu.elements import math_dtype, variant
from minidl.kernels.gpu.runtime.launcher import capability
from minidl.kernels.settings import settings

MULTIPROCESSORS = 132
# Rows and columns of a tile, and the share of the arithmetic's rate that it reaches, as estimated from the numbers
# that it loads for each multiply-add.
TILES = {(128, 128): 1.0, (128, 64): 0.9, (64, 64): 0.8, (128, 32): 0.7}
TENSOR_TILES = {(128, 128): 1.0, (128, 64): 0.8, (64, 64): 0.6}
TENSOR_CAPABILITY = 80                               # of the first cards with asynchronous copies
DEPTH, CHUNK_BYTES, STAGES = 8, 16, 4                # of tile.cuh and tensor_tile.cuh
FEWEST_ROUNDS = 8                                    # of a slice: shorter ones are not worth their sum
BLOCKS = 2 * MULTIPROCESSORS                         # that slices shall give, where there are fewer tiles


class Plan(NamedTuple):
    """How a product is launched: its tile, whether on tensor cores, grid, slices; `wide` as in product.cuh."""

    tile: tuple
    grid: tuple
    slices: int
    tensor: bool
    wide: bool

    @property
    def threads(self):
        return 2 * self.tile[1] if self.tensor else self.tile[0] * self.tile[1] // 64

    def shared_mem(self, dtype):
        """Bytes of shared memory."""
        if self.tensor:
            return STAGES * sum(self.tile) * 5 * CHUNK_BYTES
        return 2 * DEPTH * (sum(self.tile) + 8) * math_dtype(dtype).itemsize

    def defines(self, dtype):
        """The defines of product.cuh."""
        return (*variant(dtype), f"BM={self.tile[0]}", f"BN={self.tile[1]}",
                *(("WIDE=1",) if self.wide else ()), *(("TENSOR=1",) if self.tensor else ()))

    def workspace(self, like):
        """The arrays `partial` and `done` of slices.cuh, or two times None."""
        if self.slices == 1:
            return None, None
        xp = array_module(like)
        x, y, z = self.grid
        partial = xp.empty(x * y * z * self.tile[0] * self.tile[1], dtype=math_dtype(like.dtype))
        return partial, counters(xp, like.device.id, xp.cuda.get_current_stream().ptr)


def plan(rows, columns, inner, layers, lengths, arrays):
    """The Plan for `layers` products of (rows, inner) and (inner, columns).

    lengths   in elements: of what must be a multiple of four, or of 16 bytes, for the fast loads
    arrays    likewise, whose addresses must be
    """
    like = arrays[0]
    chunk = CHUNK_BYTES // like.itemsize
    tensor = on_tensor_cores(like) and divisible(chunk, lengths, arrays)
    return chosen(rows, columns, inner, layers, tensor, tensor or divisible(4, lengths, arrays), chunk)


def on_tensor_cores(x):
    """Whether products of arrays like x shall use them: half precision, and float32 where TF32 is allowed."""
    return (x.itemsize == 2 or (x.itemsize == 4 and settings.matmul_precision == "tf32")) \
        and capability(x) >= TENSOR_CAPABILITY


def divisible(count, lengths, arrays):
    """Whether lengths, and the addresses of arrays, are multiples of `count` elements; of addresses, 16 bytes do."""
    return not any(n % count for n in lengths) and not any(
        x.data.ptr % min(CHUNK_BYTES, count * x.itemsize) for x in arrays)


@functools.lru_cache(maxsize=4096)
def chosen(rows, columns, inner, layers, tensor, wide, chunk):
    """The Plan with the tile that takes the least time, if each multiprocessor works on one tile after the other."""
    tiles, depth = (TENSOR_TILES, 4 * chunk) if tensor else (TILES, DEPTH)

    def cost(tile):
        blocks = ceil_div(rows, tile[0]) * ceil_div(columns, tile[1]) * layers
        return ceil_div(blocks, MULTIPROCESSORS) * tile[0] * tile[1] / tiles[tile]
    tile = min(tiles, key=cost)
    x, y = ceil_div(rows, tile[0]), ceil_div(columns, tile[1])
    slices = max(1, min(BLOCKS // (x * y * layers), ceil_div(inner, depth) // FEWEST_ROUNDS))
    return Plan(tile, (x, y, layers * slices), slices, tensor, wide)


def ceil_div(a, b):
    return -(-a // b)
