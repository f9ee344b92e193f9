"""Sums over any axes: an array is read in the order of its memory, as (sets, length, columns)."""

import itertools
import math

from minidl.arrays import is_float
from minidl.device import array_module
from minidl.kernels import plain
from minidl.kernels.gpu.columns import shape, workspace
from minidl.kernels.gpu.elements import THREADS, math_dtype, ordered, variant
from minidl.kernels.gpu.runtime.launcher import launch

SHORT = 512                      # elements that are left to the lanes of a warp


# In float32 where x is float32, float16 or bfloat16: the sums themselves are computed in float64.
def axis_sums(x, axes):
    if not axes or not is_float(x.dtype) or x.size >= 2**31 * THREADS:
        return plain.axis_sums(x, axes)
    xp, kept = array_module(x), [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    if x.size == 0:
        return xp.zeros(kept, dtype=math_dtype(x.dtype))
    order, (source,) = ordered(x)
    order = range(x.ndim) if order is None else order
    runs = runs_of(source.shape, [axis in axes for axis in order])
    if [summed for summed, _ in runs] not in PATTERNS:                   # bring the axes together
        order = [*(axis for axis in range(x.ndim) if axis not in axes), *axes]
        source = xp.ascontiguousarray(x.transpose(order))
        runs = runs_of(source.shape, [axis in axes for axis in order])
    out = sums(source, *lengths(runs))
    return out.reshape([kept[axis] for axis in order]).transpose(sorted(range(x.ndim), key=list(order).__getitem__))


PATTERNS = [], [True], [False], [False, True], [True, False], [False, True, False]


def runs_of(shape, summed):
    """[(whether its axes are summed, its elements), ...] of each run of neighbouring axes, without axes of length 1."""
    pairs = [(add, n) for add, n in zip(summed, shape, strict=True) if n > 1]
    return [(add, math.prod(n for _, n in run)) for add, run in itertools.groupby(pairs, key=lambda pair: pair[0])]


def lengths(runs):
    """(sets, length, columns) of runs in one of the PATTERNS."""
    sizes = [n for _, n in runs]
    at = next((i for i, (add, _) in enumerate(runs) if add), len(runs))
    return math.prod(sizes[:at]), *(sizes[at:at + 1] or [1]), math.prod(sizes[at + 1:])


def sums(x, sets, length, columns):
    """x (sets * length * columns), C-contiguous  ->  (sets * columns,)"""
    xp, defines = array_module(x), variant(x.dtype)
    out = xp.empty(sets * columns, dtype=math_dtype(x.dtype))
    if columns == 1 and length <= SHORT and sets > 1:
        lanes = min(32, 1 << (length - 1).bit_length())
        grid = -(-sets // (THREADS // lanes))
        launch(x, "reduction.cu", "sum_rows", (grid,), (lanes, THREADS // lanes), x, out, sets, length, defines=defines)
    else:
        (tiles, slices), block = shape(length, columns, sets)
        launch(x, "reduction.cu", "sum_columns", (tiles, slices), block, x, *workspace(x, tiles, slices, out.size), out,
               sets, length, columns, defines=defines)
    return out
