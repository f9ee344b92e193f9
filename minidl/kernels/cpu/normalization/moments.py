"""Sums, means and variances of channels, for each set of images: `rows.py` says what sets and rows are."""

import numpy as np

from minidl.kernels.cpu.llvm.reduce_columns import sum_columns, sum_deviations
from minidl.kernels.cpu.normalization.pixel_rows import BLOCK, WIDTH, as_rows, folded, repeated, slices_of
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.work import share


def channel_sums(x):
    """The sum of each channel.   x (N, C, H, W)  ->  (C,)"""
    out = np.empty(x.shape[1], x.dtype)
    sum_rows(as_rows(x, length=WIDTH), out[None])
    return out


@kernel
def sum_rows(thread, threads, rows, out):
    """out (1, C) = the sum of each channel"""
    n, length = rows.shape
    slices, apart = slices_of(n, 1), length * rows.itemsize
    partial = np.zeros((1, slices, length))
    for s in share(thread, threads, slices):
        sums = np.empty(length, rows.dtype)
        stop = (s + 1) * n // slices
        for start in range(s * n // slices, stop, BLOCK):
            count, here = min(BLOCK, stop - start), rows.ctypes.data + start * apart
            sums[:] = 0
            sum_columns(rows, count, apart, length, here, sums.ctypes.data)
            for j in range(length):
                partial[0, s, j] += sums[j]
    total = folded(partial, out.shape[1])
    for k in range(out.shape[1]):
        out[0, k] = total[0, k]


def channel_moments(x):
    """Mean and (biased) variance of each channel.   x (N, C, H, W)  ->  (C,), (C,)"""
    mean, var = np.empty((2, 1, x.shape[1]), x.dtype)
    moments(as_rows(x, length=WIDTH), mean, var)
    return mean[0], var[0]


@kernel
def moments(thread, threads, rows, mean, var):
    """mean, var (sets, C) = the moments of each channel

    A variance is the difference of two sums, which must not be large. So a block sums d and d**2, d the distance from
    its own first row: however far that lies from the rest, it adds more to the variance than to the error. Doubles then
    sum the distances from the set's first pixel, o + d:  sum (o + d)**2 = sum d**2 + o * (2 * sum d + o * sum 1).
    """
    (sets, c), length = mean.shape, rows.shape[1]
    n = len(rows) // max(1, sets)
    slices, apart = slices_of(n, sets), length * rows.itemsize
    origin = repeated(rows[::max(1, n), :c], length)            # the first row of each set
    partial = np.zeros((2, sets, slices, length))
    for unit in share(thread, threads, sets * slices):
        sums, squares = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
        e, s = unit // slices, unit % slices
        stop = e * n + (s + 1) * n // slices
        for start in range(e * n + s * n // slices, stop, BLOCK):
            count, here = min(BLOCK, stop - start), rows.ctypes.data + start * apart
            sums[:] = 0
            squares[:] = 0
            sum_deviations(rows, count, apart, length, here, here, sums.ctypes.data, squares.ctypes.data)
            for j in range(length):
                o, d = np.float64(rows[start, j]) - origin[e, j], np.float64(sums[j])
                partial[0, e, s, j] += d + o * count
                partial[1, e, s, j] += squares[j] + o * (2 * d + o * count)
    first, second = folded(partial[0], c), folded(partial[1], c)
    m = n * length // c
    for e in range(sets):
        for k in range(c):
            mean[e, k] = origin[e, k] + first[e, k] / m
            spread = second[e, k] / m - (first[e, k] / m) ** 2
            var[e, k] = 0 if spread < 0 else spread                  # NaN stays NaN
