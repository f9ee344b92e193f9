"""Layer normalization: each row is shifted and scaled to mean 0 and variance 1.

A row holds the last axes of an example in memory order, so channels-last images stay channels last. Rows are read in
chunks that fit the L1 cache. The statistics of a chunk take two passes, one for its mean and one for the distances from
it; the second finds the chunk in the cache. Chunks are merged in float64. Statistics of several short rows are computed
before the first is normalized, so that the reductions overlap.

Backward, the gradient of a row needs two sums over that row. Short rows are read again right after their sums. Long
rows, too long for the cache, are read again chunk by chunk: a chunk of the gradients with respect to weight and bias
then stays in the cache while all rows add to it.
"""

import math

import numpy as np

from minidl.kernels.cpu.llvm.reduce_columns import BLOCK_ROWS
from minidl.kernels.cpu.llvm.reduce_rows import sum_row_deviations, sum_row_products
from minidl.kernels.cpu.normalization.moments import Moments
from minidl.kernels.cpu.normalization.pixel_rows import fold
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, ceil_div, share
from minidl.kernels.memory_order import axes_by_stride

CHUNK = 2048          # elements of a row that are summed in its own precision
LONG_ROW = 8192       # elements; longer rows are read chunk by chunk in backward
L1_SIZE = 4096        # elements, about, of the rows whose statistics are computed before the first is normalized
L2_SIZE = 16384       # elements, about, of the rows that are read again after their sums; also what is worth a split


def layer_norm(x, weight, bias, eps):
    axes, examples = memory_order(x, weight.ndim), x.shape[:x.ndim - weight.ndim]
    rows = as_rows(x, axes)
    out = empty(rows.shape, x.dtype)
    moments = Moments(np.empty(len(rows)), np.empty(len(rows)))
    standardize(rows, as_rows(weight, axes)[0], as_rows(bias, axes)[0], float(eps), moments, out)
    return as_array(out, axes, x.shape), moments.mean.reshape(examples), moments.inverse_std.reshape(examples)


def memory_order(x, ndim):
    """The last `ndim` axes of x, numbered from 0, in the order of memory."""
    return range(ndim) if x.flags.c_contiguous else axes_by_stride(x.strides[x.ndim - ndim:])


def as_rows(x, axes):
    """x (..., *shape) as rows (examples, elements), its last axes in the order `axes`; a view if in memory order."""
    outer = x.ndim - len(axes)
    examples, length = math.prod(x.shape[:outer]), math.prod(x.shape[outer:])
    if not isinstance(axes, range):
        x = x.transpose(*range(outer), *(outer + axis for axis in axes))
    return np.ascontiguousarray(x).reshape(examples, length)


def as_array(rows, axes, shape):
    """The inverse of as_rows, for an array of `shape`."""
    if isinstance(axes, range):
        return rows.reshape(shape)
    outer = len(shape) - len(axes)
    back = sorted(range(len(axes)), key=axes.__getitem__)
    x = rows.reshape(*shape[:outer], *(shape[outer + axis] for axis in axes))
    return x.transpose(*range(outer), *(outer + axis for axis in back))


@kernel
def standardize(thread, threads, rows, weight, bias, eps, moments, out):
    """out = (rows - mean) * inverse_std * weight + bias, for each row"""
    n, length = rows.shape
    together = max(1, L1_SIZE // length)
    for unit in share(thread, threads, ceil_div(n, together)):
        first, stop = unit * together, min(n, (unit + 1) * together)
        for i in range(first, stop):
            moments.mean[i], var = row_moments(rows, i)
            moments.inverse_std[i] = 1 / math.sqrt(var + eps)
        for i in range(first, stop):
            center, scale, shift = rounded(moments, i, rows)
            for j in range(length):
                out[i, j] = ((rows[i, j] - center) * scale + shift) * weight[j] + bias[j]


@inner
def rounded(moments, i, rows):
    """(center, scale, shift) in the precision of the rows: xhat = (x - center) * scale + shift.

    `shift` restores the digits that the mean loses by rounding.
    """
    real, mean, inverse_std = rows.dtype.type, moments.mean[i], moments.inverse_std[i]
    center = real(mean)
    return center, real(inverse_std), real((center - mean) * inverse_std)


@inner
def row_moments(rows, i):
    """Mean and variance of row i, merged from those of its chunks (Chan, Golub and LeVeque, 1979)."""
    length, mean, m2 = rows.shape[1], 0.0, 0.0
    for first in range(0, length, CHUNK):
        count, start = min(CHUNK, length - first), rows.ctypes.data + i * rows.strides[0] + first * rows.itemsize
        center = rows[i, first]
        center += sum_row_deviations(rows, start, center, count)[0] / rows.dtype.type(count)
        d, dd = sum_row_deviations(rows, start, center, count)            # d nearly 0: it corrects the rounded mean
        chunk_mean, chunk_m2 = np.float64(center) + np.float64(d) / count, dd - np.float64(d) * d / count
        if first == 0:
            mean, m2 = chunk_mean, chunk_m2
        else:
            delta, ratio = chunk_mean - mean, count / (first + count)
            mean += delta * ratio
            m2 += chunk_m2 + delta * delta * first * ratio
    return mean, max(m2, 0.0) / length if m2 == m2 else m2               # NaN stays NaN


def layer_norm_gradient(grad, x, weight, mean, deviation):
    axes, shape = memory_order(x, weight.ndim), weight.shape
    grads, rows, weight = as_rows(grad, axes), as_rows(x, axes), as_rows(weight, axes)[0]
    moments, (n, length) = Moments(mean.reshape(-1), deviation.reshape(-1)), rows.shape
    dx, means = empty(rows.shape, x.dtype), np.empty((n, 2), x.dtype)
    if length > LONG_ROW:
        sums = empty((2, length), x.dtype)
        row_means(grads, rows, weight, moments, means)
        long_gradient(grads, rows, weight, moments, means, dx, sums)
    else:
        splits = min(REDUCTION_SPLITS, n, ceil_div(n * length, L2_SIZE))
        partial, sums = np.zeros((2, 1, splits, length)), np.empty((2, 1, length))
        short_gradient(grads, rows, weight, moments, means, dx, partial)
        fold(partial, sums)
        sums = sums[:, 0].astype(x.dtype, copy=False)
    dweight, dbias = sums
    return as_array(dx, axes, x.shape), as_array(dweight, axes, shape), as_array(dbias, axes, shape)


@kernel
def short_gradient(thread, threads, grads, rows, weight, moments, means, dx, partial):
    """dx, and partial sums of grad * xhat and grad: a few rows are read for their means, then again for the rest."""
    n, length = rows.shape
    splits, zero, together = partial.shape[2], rows.dtype.type(0), max(1, min(BLOCK_ROWS, L2_SIZE // length))
    sums = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
    for s in share(thread, threads, splits):
        stop = (s + 1) * n // splits
        for first in range(s * n // splits, stop, together):
            for j in range(length):
                sums[0][j], sums[1][j] = zero, zero
            for i in range(first, min(stop, first + together)):
                means[i, 0], means[i, 1] = means_of(grads, rows, weight, moments, i)
            finish(first, min(stop, first + together), grads, rows, weight, moments, means, dx, sums)
            for j in range(length):
                partial[0, 0, s, j] += sums[0][j]
                partial[1, 0, s, j] += sums[1][j]


@kernel
def row_means(thread, threads, grads, rows, weight, moments, means):
    """means (rows, 2) = the means of g and of g * xhat over each row,  g = grad * weight"""
    for i in share(thread, threads, len(rows)):
        means[i, 0], means[i, 1] = means_of(grads, rows, weight, moments, i)


@kernel
def long_gradient(thread, threads, grads, rows, weight, moments, means, dx, out):
    """dx, and the sums of grad * xhat and grad in out (2, length): chunk by chunk, for all rows, from their means."""
    n, length = rows.shape
    zero = rows.dtype.type(0)
    for c in share(thread, threads, ceil_div(length, CHUNK)):
        chunk = slice(c * CHUNK, min(length, (c + 1) * CHUNK))
        count = chunk.stop - chunk.start
        product_total, total = np.zeros(count), np.zeros(count)
        sums = np.empty(count, rows.dtype), np.empty(count, rows.dtype)
        for first in range(0, n, BLOCK_ROWS):
            for j in range(count):
                sums[0][j], sums[1][j] = zero, zero
            for i in range(first, min(n, first + BLOCK_ROWS)):
                one = slice(i, i + 1)
                finish(0, 1, chunk_of(grads, i, chunk), chunk_of(rows, i, chunk), weight[chunk],
                       Moments(moments.mean[one], moments.inverse_std[one]), means[one], chunk_of(dx, i, chunk), sums)
            product_total += sums[0]
            total += sums[1]
        out[0, chunk] = product_total
        out[1, chunk] = total


@inner
def means_of(grads, rows, weight, moments, i):
    """The means of g and of g * xhat over row i,  g = grad * weight."""
    (center, scale, shift), length, first, second = rounded(moments, i, rows), rows.shape[1], 0.0, 0.0
    for begin in range(0, length, CHUNK):
        at = begin * rows.itemsize
        a, b = sum_row_products(rows, grads.ctypes.data + i * grads.strides[0] + at, weight.ctypes.data + at,
                            rows.ctypes.data + i * rows.strides[0] + at, center, min(CHUNK, length - begin))
        first += a
        second += b
    return rows.dtype.type(first / length), rows.dtype.type((second * scale + first * shift) / length)


@inner
def chunk_of(rows, i, chunk):
    """A chunk of row i, as rows (1, elements) that LLVM knows to be contiguous."""
    return rows[i, chunk].reshape(1, -1)


@inner
def finish(first, stop, grads, rows, weight, moments, means, dx, sums):
    """dx of the rows from `first` to `stop`, from their means; adds grad * xhat and grad to the two `sums`.

    A call for each row, or slices of it, would cost as much as the work on a short one.
    """
    products, totals = sums
    for i in range(first, stop):
        center, scale, shift = rounded(moments, i, rows)
        mean_of_g, mean_of_products = means[i, 0], means[i, 1]
        for j in range(len(totals)):
            xhat = (rows[i, j] - center) * scale + shift
            dx[i, j] = scale * (grads[i, j] * weight[j] - mean_of_g - xhat * mean_of_products)
            products[j] += grads[i, j] * xhat
            totals[j] += grads[i, j]
