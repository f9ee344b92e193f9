"""Batch normalization: two launches forward with the moments, and two backward."""

import functools
import math
from typing import Any, NamedTuple

from minidl.device import array_module
from minidl.kernels.gpu import columns
from minidl.kernels.gpu.elements import BLOCKS, THREADS, math_dtype, variant
from minidl.kernels.gpu.layout import channels_last, contiguous, logical
from minidl.kernels.gpu.runtime.launcher import launch

FILE = "normalization/batch_norm.cu"
ALL, BY_INPUT, BY_OUTPUT = range(3)      # how to find the gradients that ReLU passes: no ReLU; from x; from the output


class Passed(NamedTuple):
    """What batch_norm_gradient needs to know of batch_norm's ReLU."""

    bias: Any
    ceiling: float               # NaN: none
    out: Any                     # channels last; None if nothing was added


@functools.cache
def shape(rows, c, itemsize):
    """(grid, block, width): blocks of threads that take `width` channels each and go down the rows."""
    width = 16 // itemsize if c % (16 // itemsize) == 0 else 1
    packs = c // width
    tiles = -(-packs // THREADS)
    across = -(-packs // tiles)
    parts = THREADS // across
    return (tiles, max(1, min(-(-rows // parts), BLOCKS // tiles))), (across, parts), width


# In this backend, `passed` is a Passed.
def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    c, adds = x.shape[1], add is not None
    x, add = channels_last(x), channels_last(add) if adds else None
    out, rows = array_module(x).empty_like(x), x.size // c
    ceiling = math.nan if ceiling is None else ceiling
    grid, block, width = shape(rows, c, x.itemsize)
    weight, bias, mean, var = numbers(x, weight, bias, mean, var)
    launch(x, FILE, "batch_norm", grid, block, x, add, weight, bias, mean, var, out, rows, c, width, eps, bool(relu),
           ceiling, defines=variant(x.dtype))
    return logical(out), Passed(bias, ceiling, out if adds else None) if relu else None


def batch_norm_gradient(grad, passed, x, weight, mean, var, eps, training, adds):
    xp, c, defines = array_module(x), x.shape[1], variant(x.dtype)
    grad, x = channels_last(grad.astype(x.dtype, copy=False)), channels_last(x)
    rows, math_type = x.size // c, math_dtype(x.dtype)
    bias, ceiling, out = passed or Passed(None, math.nan, None)
    gate = ALL if passed is None else BY_INPUT if out is None else BY_OUTPUT
    weight, mean, var = numbers(x, weight, mean, var)
    dweight, dbias = (xp.empty(c, dtype=math_type) for _ in range(2))
    dx, dadd = xp.empty_like(x), xp.empty_like(x) if adds and gate != ALL else None
    grid, block = columns.shape(rows, c)
    launch(x, FILE, "batch_norm_sums", grid, block, grad, x, out, weight, bias, mean, var,
           *columns.workspace(x, *grid, 2 * c), dweight, dbias, rows, c, eps, gate, ceiling, defines=defines)
    grid, block, width = shape(rows, c, x.itemsize)
    launch(x, FILE, "batch_norm_gradient", grid, block, grad, x, out, weight, bias, mean, var, dweight, dbias, dx,
           dadd, rows, c, width, eps, gate, bool(training), ceiling, defines=defines)
    return logical(dx), dweight, dbias, None if not adds else logical(grad if dadd is None else dadd)


def numbers(x, *arrays):
    """Arrays (C,) as C-contiguous arrays of the type in which kernels compute."""
    return [contiguous(v.astype(math_dtype(x.dtype), copy=False)) for v in arrays]
