"""Batch normalization, channels last: an activation is a matrix with a row for each pixel and a column per channel.

Sums over pixels are kept in doubles, SLICES partial sums of each channel: a fixed number, so that the bits of the
result don't depend on how many threads there are.
"""

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import kernel
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.memory import empty

SLICES = 16
ROWS = 64          # rows that a thread takes at a time where nothing is summed
LENGTH = 256       # numbers in a row, about: short rows are joined


def as_rows(x):
    """x (N, C, H, W) as rows of channels: (N*H*W / R, R*C), where each row holds R pixels side by side.

    Loops run along rows, and few channels make too short a loop; R is a power of 2 that makes it about LENGTH long.
    """
    pixels, c = x.size // x.shape[1], x.shape[1]
    r = 1
    while pixels % (2 * r) == 0 and 2 * r * c <= LENGTH:
        r *= 2
    return channels_last(x).reshape(pixels // r, r * c)


def as_image(rows, shape):
    """The inverse of as_rows, for images of `shape`."""
    n, c, h, w = shape
    return logical(rows.reshape(n, h, w, c))


def repeated(v, rows):
    """One number per channel, repeated for each pixel of a row."""
    return np.tile(v, rows.shape[1] // len(v))


def folded(partial, c):
    """The sums over slices, and over the pixels of a row, of partial sums (..., SLICES, R*C)  ->  (..., C)"""
    return partial.reshape(*partial.shape[:-2], -1, c).sum(-2)


def channel_sums(x):
    """The sum of each channel.   x (N, C, H, W)  ->  (C,)"""
    rows = as_rows(x)
    partial = np.zeros((SLICES, rows.shape[1]))
    sum_rows(rows, partial)
    return folded(partial, x.shape[1]).astype(x.dtype)


@kernel
def sum_rows(threads, rows, partial):
    """partial[s] = the sum of the rows of slice s"""
    n, c = rows.shape
    for s in prange(len(partial)):
        sums = partial[s]
        for i in range(s * n // len(partial), (s + 1) * n // len(partial)):
            for j in range(c):
                sums[j] += rows[i, j]


def channel_moments(x):
    """Mean and (biased) variance of each channel.   x (N, C, H, W)  ->  (C,), (C,)"""
    c = x.shape[1]
    rows = as_rows(x)
    origin = rows[0, :c].astype(np.float64)
    partial = np.zeros((2, SLICES, rows.shape[1]))
    sum_powers(rows, repeated(origin, rows), partial)
    first, second = folded(partial, c) / (x.size // c)
    return (origin + first).astype(x.dtype), np.maximum(second - first * first, 0).astype(x.dtype)


@kernel
def sum_powers(threads, rows, origin, partial):
    """partial[0, s], partial[1, s] = sums over slice s of d and d**2, d the distance from `origin`, the first pixel.

    That distance, and not the value itself, because a variance is the difference of two sums, which must not be large.
    """
    n, c = rows.shape
    slices = partial.shape[1]
    for s in prange(slices):
        sums, squares = partial[0, s], partial[1, s]
        for i in range(s * n // slices, (s + 1) * n // slices):
            for j in range(c):
                d = np.float64(rows[i, j]) - origin[j]
                sums[j] += d
                squares[j] += d * d


def batch_norm(x, weight, bias, mean, var, eps):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel.

    x (N, C, H, W); weight, bias, mean, var (C,)  ->  (N, C, H, W)
    """
    rows = as_rows(x)
    out = empty(rows.shape, rows.dtype)
    scale = weight / np.sqrt(var + eps)
    normalize(rows, repeated(mean, rows), repeated(scale, rows), repeated(bias, rows), out)
    return as_image(out, x.shape)


@kernel
def normalize(threads, rows, mean, scale, bias, out):
    """out = (rows - mean) * scale + bias"""
    n, c = rows.shape
    for part in prange((n + ROWS - 1) // ROWS):
        for i in range(part * ROWS, min(n, (part + 1) * ROWS)):
            for j in range(c):
                out[i, j] = (rows[i, j] - mean[j]) * scale[j] + bias[j]


def batch_norm_gradient(grad, x, weight, mean, var, eps, training):
    """The gradients of batch_norm by x, weight and bias.

    With  xhat = (x - mean) / sqrt(var + eps),  dweight = sum(grad * xhat)  and  dbias = sum(grad):
    in training, where mean and var depend on x,
    dx = weight / sqrt(var + eps) * (grad - dbias / m - xhat * dweight / m),   m = N*H*W;  else the first term alone.
    """
    grads, rows, c = as_rows(grad), as_rows(x), x.shape[1]
    deviation, mean = 1 / np.sqrt(var + eps), repeated(mean, rows)
    partial = np.zeros((2, SLICES, rows.shape[1]))
    sum_products(grads, rows, mean, partial)
    dbias, products = folded(partial, c)
    dweight = products * deviation
    m = x.size // c if training else np.inf
    dx = empty(rows.shape, rows.dtype)
    combine(grads, rows, mean, repeated(weight * deviation, rows), repeated((dbias / m).astype(x.dtype), rows),
            repeated((dweight * deviation / m).astype(x.dtype), rows), dx)
    return as_image(dx, x.shape), dweight.astype(x.dtype), dbias.astype(x.dtype)


@kernel
def sum_products(threads, grads, rows, mean, partial):
    """partial[0, s], partial[1, s] = sums over slice s of grad and of grad * (x - mean)"""
    n, c = rows.shape
    slices = partial.shape[1]
    for s in prange(slices):
        sums, products = partial[0, s], partial[1, s]
        for i in range(s * n // slices, (s + 1) * n // slices):
            for j in range(c):
                grad = np.float64(grads[i, j])
                sums[j] += grad
                products[j] += grad * (rows[i, j] - mean[j])


@kernel
def combine(threads, grads, rows, mean, scale, constant, slope, dx):
    """dx = scale * (grad - constant - slope * (x - mean))"""
    n, c = rows.shape
    for part in prange((n + ROWS - 1) // ROWS):
        for i in range(part * ROWS, min(n, (part + 1) * ROWS)):
            for j in range(c):
                dx[i, j] = scale[j] * (grads[i, j] - constant[j] - slope[j] * (rows[i, j] - mean[j]))
