"""Which tile computes a product, and into how many slices its inner length is cut: by shape alone.

So a product has the same bits on every GPU. The constants are those of a large GPU; nothing depends on the real one.
"""

import functools
from typing import NamedTuple

from minidl.device import array_module
from minidl.kernels.gpu.columns import counters
from minidl.kernels.gpu.elements import math_dtype, variant

MULTIPROCESSORS = 132
BK = 8                                               # inner length of a round, as in tile.cuh
# Rows and columns of a tile, and the share of the arithmetic's rate that it reaches, as estimated from the numbers
# that it loads for each multiply-add.
TILES = {(128, 128): 1.0, (128, 64): 0.9, (64, 64): 0.8, (128, 32): 0.7}
FEWEST_ROUNDS = 8                                    # of a slice: shorter ones are not worth their sum
BLOCKS = 2 * MULTIPROCESSORS                         # that slices shall give, where there are fewer tiles


def is_wide(lengths, *arrays):
    """Whether four neighbours can be loaded at once: if these lengths and addresses are multiples of four elements."""
    return not any(n % 4 for n in lengths) and not any(x.data.ptr % min(16, 4 * x.itemsize) for x in arrays)


class Plan(NamedTuple):
    """How a product is launched: its tile, its grid and its slices."""

    tile: tuple
    grid: tuple
    slices: int

    @property
    def threads(self):
        return self.tile[0] * self.tile[1] // 64

    def defines(self, dtype, wide):
        """The defines of tile.cuh for this tile."""
        return (*variant(dtype), f"BM={self.tile[0]}", f"BN={self.tile[1]}", *(("WIDE=1",) if wide else ()))

    def workspace(self, like):
        """The arrays `partial` and `done` of slices.cuh, or two times None."""
        if self.slices == 1:
            return None, None
        xp = array_module(like)
        x, y, z = self.grid
        partial = xp.empty(x * y * z * self.tile[0] * self.tile[1], dtype=math_dtype(like.dtype))
        return partial, counters(xp, like.device.id, xp.cuda.get_current_stream().ptr)


@functools.lru_cache(maxsize=4096)
def plan(rows, columns, inner, layers=1):
    """The Plan for `layers` products of (rows, inner) and (inner, columns)."""
    def cost(tile):
        blocks = ceil_div(rows, tile[0]) * ceil_div(columns, tile[1]) * layers
        return ceil_div(blocks, MULTIPROCESSORS) * tile[0] * tile[1] / TILES[tile]
    tile = min(TILES, key=cost)
    x, y = ceil_div(rows, tile[0]), ceil_div(columns, tile[1])
    slices = max(1, min(BLOCKS // (x * y * layers), ceil_div(inner, BK) // FEWEST_ROUNDS))
    return Plan(tile, (x, y, layers * slices), slices)


def ceil_div(a, b):
    return -(-a // b)
