"""Means and variances of channels, for each set of images: `pixel_rows.py` defines sets and rows."""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.llvm.reduce_columns import BLOCK_ROWS, Rows, sum_column_deviations
from minidl.kernels.cpu.normalization.pixel_rows import (
    STRIP_LENGTH,
    as_rows,
    fold_channels,
    locate_split,
    partial_sums,
    repeated,
)
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.work import SERIAL_SIZE, share


class Moments(NamedTuple):
    """Mean and 1 / sqrt(var + eps) of what is normalized together: two float64 arrays of one shape."""

    mean: np.ndarray
    inverse_std: np.ndarray


def channel_moments(x):
    out = np.empty((2, 1, x.shape[1]), x.dtype)
    moments(as_rows(x, length=STRIP_LENGTH), out)
    return out[0, 0], out[1, 0]


def moments(rows, out):
    """out (2, sets, C) = mean and variance of each channel

    A variance is a difference of two sums, and loses precision if they are large. So a block sums d and d**2, where d
    is the distance from the block's first row. (If that row is far from all others, the variance grows more than the
    error.) float64 then sums the distances from the set's first pixel, o + d:
    sum (o + d)**2 = sum d**2 + o * (2 * sum d + o * sum 1).
    """
    partial = partial_sums(2, rows, out.shape[1])
    sum_distances(rows, out.shape[2], partial)
    (finish_moments if partial.size > SERIAL_SIZE else finish_moments.serial)(rows, partial, np.empty(out.shape), out)


@kernel
def sum_distances(thread, threads, rows, channels, partial):
    """partial = the sums of o + d and of (o + d)**2 in each column"""
    _, sets, splits, length = partial.shape
    stride = length * rows.itemsize
    origin = repeated(rows[::max(1, len(rows) // max(1, sets)), :channels], length)       # the first row of each set
    sums, squared_sums = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
    for unit in share(thread, threads, sets * splits):
        e, s, first, stop = locate_split(unit, rows, partial)
        partial[:, e, s] = 0
        for start in range(first, stop, BLOCK_ROWS):
            count, here = min(BLOCK_ROWS, stop - start), rows.ctypes.data + start * stride
            sums[:] = 0
            squared_sums[:] = 0
            block = Rows(count, stride, length)
            sum_column_deviations(rows, block, here, here, sums.ctypes.data, squared_sums.ctypes.data)
            for j in range(length):
                o, d = np.float64(rows[start, j]) - origin[e, j], np.float64(sums[j])
                partial[0, e, s, j] += d + o * count
                partial[1, e, s, j] += squared_sums[j] + o * (2 * d + o * count)


@kernel
def finish_moments(thread, threads, rows, partial, sums, out):
    """Fold the partial sums into `sums` (2, sets, C), and compute mean and variance from them."""
    fold_channels(thread, threads, partial, sums)
    _, sets, c = out.shape
    n = len(rows) // max(1, sets)
    m = n * rows.shape[1] // c
    for e in range(sets):
        for k in share(thread, threads, c):
            origin = np.float64(rows[e * n, k]) if n > 0 else 0.0
            mean = sums[0, e, k] / m
            variance = sums[1, e, k] / m - mean**2
            out[0, e, k] = origin + mean
            out[1, e, k] = 0 if variance < 0 else variance               # NaN stays NaN
