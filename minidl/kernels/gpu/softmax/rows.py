"""How rows are shared among threads: what softmax/rows.cuh expects."""

import math

from minidl.kernels.gpu.elements import THREADS


def grid_of(rows, n, inner):
    """(grid, block) for rows of n elements that lie `inner` apart."""
    lanes = min(32, 1 << max(0, (n - 1).bit_length() - 1)) if inner == 1 else 1      # two elements for each at least
    return (max(1, -(-rows // (THREADS // lanes))),), (lanes, THREADS // lanes)


def rows_along(shape, axis):
    """(rows, n, inner) of a C-contiguous array of that shape."""
    inner = math.prod(shape[axis + 1:])
    return math.prod(shape[:axis]) * inner, shape[axis], inner
