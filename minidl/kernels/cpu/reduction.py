"""Sums over any axes of an array in any memory order, by all threads.

The array is read in the order of its memory, as (sets, length, columns): a set is summed along `length`, column by
column. Few columns would make short loops, so R neighbouring rows are read as one long row of R * columns elements:

    columns 2, R 2         long row 0   a0 b0 a1 b1            a0 + a2, b0 + b2, a1 + a3, b1 + b3
    length 5               long row 1   a2 b2 a3 b3            then  a = (a0 + a2) + (a1 + a3) + a4
                           left over    a4 b4                        b = (b0 + b2) + (b1 + b3) + b4

Up to BLOCK long rows are added in the array's own precision, and the sums of blocks in float64: the error does not grow
with the length. The result is in float64, unless all is added in the array's own precision.
"""

import math

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.layout import contiguous
from minidl.kernels.cpu.llvm.reduce_columns import Rows, sum_columns
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, SERIAL_SIZE, ceil_div, share

BLOCK = 32                  # elements that are added in the array's own precision: float32 errs by 5e-7 at most
NEIGHBOURS = 4096           # neighbours in memory, which NumPy adds pairwise: this many, and the threads need not wake
ROW_LENGTH = 64             # elements of a long row of few columns, about
COLUMNS = 512               # columns that are summed at a time


def axis_sums(x, axes):
    if x.size <= SERIAL_SIZE:
        return plain.axis_sums(x, axes)
    repeated = [n > 1 and stride == 0 for n, stride in zip(x.shape, x.strides, strict=True)]
    if any(repeated):
        return sums_of_repeated(x, axes, repeated)
    source, order = contiguous(x)
    return sums_in_memory_order(source, {order[axis] for axis in axes}).transpose(order)


def sums_of_repeated(x, axes, repeated):
    """The sums of an array with axes along which broadcasting repeats it: those of one copy, times the copies."""
    copies = math.prod(x.shape[axis] for axis in axes if repeated[axis])
    one = axis_sums(x[tuple(slice(0, 1) if again else slice(None) for again in repeated)], axes)
    return np.broadcast_to(one * float(copies), [1 if axis in axes else n for axis, n in enumerate(x.shape)]).copy()


def sums_in_memory_order(x, axes):
    """The sums of a C-contiguous array over a set of axes: first over the longest run of them, then over the others."""
    run = longest_run(x.shape, axes)
    sets, length, columns = (math.prod(x.shape[i] for i in some) for some in (
        range(run.start), run, range(run.stop, x.ndim)))
    sums = middle_sums(x.reshape(sets, length, columns))
    sums = sums.reshape(*x.shape[:run.start], *(1 for _ in run), *x.shape[run.stop:])
    others = tuple(axis for axis in axes if axis not in run)
    return sums.sum(others, dtype=np.float64, keepdims=True) if others else sums


def longest_run(shape, axes):
    """The neighbouring axes, all in `axes`, with the most elements; an axis of length 1 may be among them."""
    runs, first = [range(0)], 0
    for axis, n in enumerate(shape):
        first = first if axis in axes or n == 1 else axis + 1
        runs.append(range(first, axis + 1))
    return max(runs, key=lambda run: math.prod(shape[i] for i in run))


def middle_sums(x):
    """x (sets, length, columns), C-contiguous  ->  (sets, columns)"""
    sets, length, columns = x.shape
    if length <= (NEIGHBOURS if columns == 1 else BLOCK):
        return x.sum(1)
    r = 1                                                                # a power of 2
    while 2 * r * columns <= ROW_LENGTH:
        r *= 2
    together = sets * ceil_div(columns, COLUMNS)
    splits = min(max(1, REDUCTION_SPLITS // together), ceil_div(length, r * BLOCK))
    partial = np.empty((sets, splits, columns))
    sum_lengths(x.reshape(-1), length, r, partial)
    return partial.sum(1)


@kernel
def sum_lengths(thread, threads, x, length, r, partial):
    """partial (sets, splits, columns) = the sums of parts of the `length` of x (sets * length * columns,)"""
    sets, splits, columns = partial.shape
    size, parts = x.itemsize, ceil_div(columns, COLUMNS)
    sums, totals = np.empty(COLUMNS, x.dtype), np.empty(COLUMNS)
    for unit in share(thread, threads, sets * splits * parts):
        part, e, s = unit % parts, unit // parts // splits, unit // parts % splits
        first, stop, begin = s * length // splits, (s + 1) * length // splits, part * COLUMNS
        width, rows = min(COLUMNS, columns - begin), (stop - first) // r
        here, stride = x.ctypes.data + ((e * length + first) * columns + begin) * size, r * columns * size
        wide = r * width
        totals[:wide] = 0
        for start in range(0, rows, BLOCK):
            sums[:wide] = 0
            sum_columns(x, Rows(min(BLOCK, rows - start), stride, wide), here + start * stride, sums.ctypes.data)
            for k in range(wide):
                totals[k] += sums[k]
        over = (stop - first - rows * r) * width
        if over > 0:                                                     # then all columns are in one part
            sums[:over] = 0
            sum_columns(x, Rows(1, stride, over), here + rows * stride, sums.ctypes.data)
            for k in range(over):
                totals[k] += sums[k]
        target = partial[e, s, begin:begin + width]
        target[:] = 0
        for row in range(0, wide, width):
            for k in range(width):
                target[k] += totals[row + k]
