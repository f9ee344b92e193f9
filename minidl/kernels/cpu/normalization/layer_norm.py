"""Layer normalization: rows of numbers, each brought to mean 0 and variance 1 by itself.

A row is the last axes of an example, in the order in which they lie in memory: images that are channels last stay so.
Rows are gone through in pieces that the first cache holds. What is wanted of a piece takes two readings of it, its mean
and then its distances from that; the second finds it in the cache. Pieces meet in doubles. What is wanted of short rows
is found out for several, one after another, before anything is done with the first: so none waits for what is computed
from the sums of the one before. Backward, a row's gradient needs two sums over the row; short rows are read again right
after, and long ones, which no cache holds, piece by piece: so a piece of the gradients by weight and bias stays in the
cache while all rows add to it.
"""

import math

import numpy as np

from minidl.kernels.cpu.llvm.reduce_rows import sum_distances, sum_weighted
from minidl.kernels.cpu.normalization.pixel_rows import BLOCK, SLICES
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share

PIECE = 2048       # numbers of a row
LONG = 8192        # numbers of a row that is long
SLICE = 16384      # numbers, about, that are worth a slice of rows of its own, and that the second cache holds
FEW = 4096         # numbers, about, of rows whose moments are found before one is written; the first cache holds them


def layer_norm(x, weight, bias, eps):
    """(x - mean) / sqrt(var + eps) * weight + bias, with the moments of each example's last axes, those of weight.

    x (..., *shape), weight and bias `shape`  ->  like x, mean and 1 / sqrt(var + eps) of the examples (...)
    """
    axes, examples = memory_order(x, weight.ndim), x.shape[:x.ndim - weight.ndim]
    rows = as_rows(x, axes)
    out = empty(rows.shape, x.dtype)
    mean, deviation = np.empty(len(rows)), np.empty(len(rows))
    standardize(rows, as_rows(weight, axes)[0], as_rows(bias, axes)[0], float(eps), mean, deviation, out)
    return as_array(out, axes, x.shape), mean.reshape(examples), deviation.reshape(examples)


def memory_order(x, ndim):
    """The last `ndim` axes of x, counted from the first of these, the one with the longest stride first."""
    strides = x.strides[x.ndim - ndim:]
    return range(ndim) if x.flags.c_contiguous else sorted(range(ndim), key=lambda axis: -strides[axis])


def as_rows(x, axes):
    """x (..., *shape) as rows (examples, numbers), its last axes in the order `axes`; a copy if they lie otherwise."""
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
def standardize(thread, threads, rows, weight, bias, eps, mean, deviation, out):
    """out = (rows - mean) * deviation * weight + bias;  deviation = 1 / sqrt(var + eps), for each row"""
    n, length = rows.shape
    some = max(1, FEW // length)
    for part in share(thread, threads, (n + some - 1) // some):
        first, last = part * some, min(n, (part + 1) * some)
        for i in range(first, last):
            mean[i], var = moments_of(rows, i)
            deviation[i] = 1 / math.sqrt(var + eps)
        for i in range(first, last):
            middle, d, rest = rounded(rows, mean[i], deviation[i])
            for j in range(length):
                out[i, j] = ((rows[i, j] - middle) * d + rest) * weight[j] + bias[j]


@inner
def rounded(rows, mean, deviation):
    """mean and deviation in the precision of rows, and what makes up for the digits that the mean has lost:

    (x - mean) * deviation = (x - middle) * deviation + rest
    """
    number, middle = rows.dtype.type, rows.dtype.type(mean)
    return middle, number(deviation), number((middle - mean) * deviation)


@inner
def moments_of(rows, i):
    """Mean and variance of row i: those of its pieces, joined one after another (Chan, Golub and LeVeque, 1979)."""
    length, mean, squares = rows.shape[1], 0.0, 0.0
    for first in range(0, length, PIECE):
        count, start = min(PIECE, length - first), rows.ctypes.data + i * rows.strides[0] + first * rows.itemsize
        middle = rows[i, first]
        middle += sum_distances(rows, start, middle, count)[0] / rows.dtype.type(count)
        d, dd = sum_distances(rows, start, middle, count)
        about, spread = np.float64(middle) + np.float64(d) / count, dd - np.float64(d) * d / count
        if first == 0:
            mean, squares = about, spread
        else:
            off, part = about - mean, count / (first + count)
            mean += off * part
            squares += spread + off * off * first * part
    return mean, max(squares, 0.0) / length if squares == squares else squares


def layer_norm_gradient(grad, x, weight, mean, deviation):
    """The gradients of layer_norm by x, weight and bias.

    xhat = (x - mean) * deviation,  dweight = sum(grad * xhat)  and  dbias = sum(grad) over the examples; with
    g = grad * weight,  dx = deviation * (g - mean of g - xhat * mean of g * xhat), the means over an example.
    """
    axes, shape = memory_order(x, weight.ndim), weight.shape
    grads, rows, weight = as_rows(grad, axes), as_rows(x, axes), as_rows(weight, axes)[0]
    dx = empty(rows.shape, x.dtype)
    dweight, dbias = empty(weight.shape, x.dtype), empty(weight.shape, x.dtype)
    differentiate = long_gradient if rows.shape[1] > LONG else short_gradient
    differentiate(grads, rows, weight, mean.reshape(-1), deviation.reshape(-1), dx, dweight, dbias)
    return as_array(dx, axes, x.shape), as_array(dweight, axes, shape), as_array(dbias, axes, shape)


@kernel
def short_gradient(thread, threads, grads, rows, weight, mean, deviation, dx, dweight, dbias):
    """dx, dweight, dbias for short rows: some are read for their means, and then for all the rest."""
    n, length = rows.shape
    zero, slices = rows.dtype.type(0), min(SLICES, n, (n * length + SLICE - 1) // SLICE)
    some, means = max(1, min(BLOCK, SLICE // length)), np.empty((n, 2), rows.dtype)
    partial = np.zeros((2, slices, length))
    for s in share(thread, threads, slices):
        products, sums = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
        stop = (s + 1) * n // slices
        for start in range(s * n // slices, stop, some):
            for j in range(length):
                products[j], sums[j] = zero, zero
            for i in range(start, min(stop, start + some)):
                point = rounded(rows, mean[i], deviation[i])
                means[i, 0], means[i, 1] = means_of(grads, rows, weight, point, i)
            finish(start, min(stop, start + some), grads, rows, weight, mean, deviation, means, dx, products, sums)
            for j in range(length):
                partial[0, s, j] += products[j]
                partial[1, s, j] += sums[j]
    for j in range(length):
        product, total = 0.0, 0.0
        for s in range(slices):
            product += partial[0, s, j]
            total += partial[1, s, j]
        dweight[j], dbias[j] = product, total


@kernel
def long_gradient(thread, threads, grads, rows, weight, mean, deviation, dx, dweight, dbias):
    """dx, dweight, dbias for long rows: the means of all rows first, and then all the rest piece by piece."""
    n, length = rows.shape
    zero, means = rows.dtype.type(0), np.empty((n, 2), rows.dtype)
    for i in share(thread, threads, n):
        means[i, 0], means[i, 1] = means_of(grads, rows, weight, rounded(rows, mean[i], deviation[i]), i)
    for p in share(thread, threads, (length + PIECE - 1) // PIECE):
        piece = slice(p * PIECE, min(length, (p + 1) * PIECE))
        product, total = np.zeros(piece.stop - piece.start), np.zeros(piece.stop - piece.start)
        products, sums = np.empty(len(total), rows.dtype), np.empty(len(total), rows.dtype)
        for start in range(0, n, BLOCK):
            for j in range(len(total)):
                products[j], sums[j] = zero, zero
            for i in range(start, min(n, start + BLOCK)):
                one = slice(i, i + 1)
                finish(0, 1, part_of(grads, i, piece), part_of(rows, i, piece), weight[piece], mean[one],
                       deviation[one], means[one], part_of(dx, i, piece), products, sums)
            product += products
            total += sums
        dweight[piece] = product
        dbias[piece] = total


@inner
def means_of(grads, rows, weight, point, i):
    """The means of g and of g * xhat over row i,  g = grad * weight."""
    (middle, deviation, rest), length, first, second = point, rows.shape[1], 0.0, 0.0
    for begin in range(0, length, PIECE):
        at = begin * rows.itemsize
        a, b = sum_weighted(rows, grads.ctypes.data + i * grads.strides[0] + at, weight.ctypes.data + at,
                            rows.ctypes.data + i * rows.strides[0] + at, middle, min(PIECE, length - begin))
        first += a
        second += b
    return rows.dtype.type(first / length), rows.dtype.type((second * deviation + first * rest) / length)


@inner
def part_of(rows, i, piece):
    """A piece of row i, as rows of which there is one."""
    return rows[i, piece].reshape(1, -1)


@inner
def finish(start, stop, grads, rows, weight, mean, deviation, means, dx, products, sums):
    """dx of some rows, from their means; products and sums grow by grad * xhat and grad.

    A call for each row, or slices of it, would cost as much as what is done with a short one.
    """
    for i in range(start, stop):
        middle, d, rest = rounded(rows, mean[i], deviation[i])
        first, second = means[i, 0], means[i, 1]
        for j in range(len(sums)):
            xhat = (rows[i, j] - middle) * d + rest
            dx[i, j] = d * (grads[i, j] * weight[j] - first - xhat * second)
            products[j] += grads[i, j] * xhat
            sums[j] += grads[i, j]
