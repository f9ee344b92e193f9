"""What the launches of pooling share: a window as a structure, and the grid."""

import functools

import numpy as np

from minidl.kernels.gpu.elements import BLOCKS, THREADS, below_2_31

FIELDS = "h", "w", "oh", "ow", "kh", "kw", "sh", "sw", "top", "left", "dh", "dw"
SLIDING = np.dtype([(name, np.int32) for name in FIELDS])


@functools.lru_cache(maxsize=1024)
def sliding(shape, window):
    """What the kernels know of a window over images of `shape` (N, C, H, W): the structure Sliding of pooling.cuh."""
    size, ((top, _), (left, _)) = shape[2:], window.padding
    return np.array([(*size, *window.out(size), *window.kernel, *window.stride, top, left, *window.dilation)], SLIDING)


@functools.cache
def grid_of(pixels, c):
    """(grid, block) of a launch in which each thread takes one channel of some pixels."""
    below_2_31("pooling: pixels", pixels)
    tiles = -(-c // THREADS)
    across = -(-c // tiles)
    parts = THREADS // across
    return (tiles, max(1, min(-(-pixels // parts), 16 * BLOCKS // tiles, 2**16 - 1))), (across, parts)
