"""What layer and group norm share: the launches over sets of elements that have a mean and a variance in common."""

import numpy as np

from minidl.device import array_module
from minidl.kernels.gpu import columns
from minidl.kernels.gpu.elements import THREADS, below_2_31, math_dtype, variant
from minidl.kernels.gpu.runtime.launcher import launch

SETS = np.dtype([(name, np.int64) for name in ("count", "sets_of_image", "image_size", "stride")]
                + [(name, np.int32) for name in ("runs", "length")], align=True)
FILE = "normalization/sets.cu"


def sets(count, sets_of_image, image_size, stride, runs, length):
    """The structure Sets of sets.cuh."""
    below_2_31("normalization: elements that share a mean", runs * length)
    return np.array([(count, sets_of_image, image_size, stride, runs, length)], SETS)


def grid_of(sets):
    """(grid, block): a warp for each set, or a block if they have more elements than its threads."""
    width = 32 if sets["runs"][0] * sets["length"][0] <= THREADS else THREADS
    teams = THREADS // width
    return (max(1, -(-int(sets["count"][0]) // teams)),), (width, teams)


def normalize(x, weight, bias, eps, sets):
    """x, C-contiguous, in SETS  ->  out, mean and deviation, one for each set"""
    xp, count = array_module(x), int(sets["count"][0])
    out = xp.empty_like(x)
    mean, deviation = (xp.empty(count, dtype=math_dtype(x.dtype)) for _ in range(2))
    launch(x, FILE, "normalize_sets", *grid_of(sets), x, weight, bias, out, mean, deviation, sets, eps,
           defines=variant(x.dtype))
    return out, mean, deviation


def gradients(grad, x, weight, mean, deviation, sets, matrix, rows_of_set, columns_of_set):
    """dx, dweight and dbias. `matrix` (rows, columns) is the shape of x in which the columns have a weight each."""
    xp, defines, (rows, width) = array_module(x), variant(x.dtype), matrix
    below_2_31("normalization: rows", rows)
    dx = xp.empty_like(x)
    launch(x, FILE, "normalize_sets_gradient", *grid_of(sets), grad, x, weight, mean, deviation, dx, sets,
           defines=defines)
    dweight, dbias = (xp.empty(width, dtype=math_dtype(x.dtype)) for _ in range(2))
    grid, block = columns.shape(rows, width)
    launch(x, FILE, "sum_gradients", grid, block, grad, x, mean, deviation,
           *columns.workspace(x, *grid, 2 * width), dweight, dbias, rows, width, rows_of_set, columns_of_set,
           defines=defines)
    return dx, dweight, dbias
