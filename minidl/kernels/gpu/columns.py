"""How the columns of a matrix are shared among blocks for sums, and the memory they need: what columns.cuh expects."""

import functools

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS

COUNTERS = 4096
BLOCKS = 4 * 132                                     # among which the rows are shared, at most


@functools.cache
def shape(rows, columns, sets=1):
    """(grid, block) for matrices of this shape: (tiles of columns, slices of rows), (columns, parts)"""
    tiles = -(-columns // 32)
    width = -(-columns // tiles)
    parts, tiles = THREADS // width, tiles * sets
    slices = max(1, min(-(-rows // (8 * parts)), BLOCKS // tiles))
    return (tiles, slices), (width, parts)


def workspace(x, tiles, slices, sums):
    """The two arrays that `add_slices` needs for that number of sums; none for a single slice."""
    if slices == 1:
        return None, None
    xp = array_module(x)
    return xp.empty(slices * sums, dtype=xp.float64), counters(xp, x.device.id, xp.cuda.get_current_stream().ptr)


@functools.cache
def counters(xp, device, stream):
    """Zeros by which the blocks of a launch know which of them is the last; each launch leaves zeros.

    Launches of one stream run one after the other, so they can share them.
    """
    with xp.cuda.Device(device):
        return xp.zeros(COUNTERS, dtype=xp.uint32)
