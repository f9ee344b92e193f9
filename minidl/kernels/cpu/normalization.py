"""Batch normalization, channels last: an activation is a matrix with a row for each pixel and a column per channel.

Each direction reads its arrays twice: once for sums over the rows, once for the result, and what follows the
normalization (a residual, ReLU) is done while an element is at hand. Sums run over a BLOCK of rows in the array's own
precision, and over blocks in doubles: as accurate as doubles all through, nearly, and several times faster. How the
rows are cut into slices depends on the shape alone, so the bits do not depend on the number of threads.
"""

import math

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.memory import empty

BLOCK = 64         # rows that are summed in the array's own precision
SLICES = 16        # parts, at most, that are summed apart from each other
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


@inner
def slices_of(n):
    """How many slices n rows are cut into: one for each block, and no more than SLICES."""
    return min(SLICES, (n + BLOCK - 1) // BLOCK)


@inner
def repeated(v, length):
    """One number per channel, repeated for each pixel of a row of `length` numbers."""
    out = np.empty(length, v.dtype)
    for start in range(0, length, len(v)):
        out[start:start + len(v)] = v
    return out


@inner
def folded(partial, c):
    """The sums over slices, and over the pixels of a row, of partial sums (SLICES, R*C)  ->  (C,)"""
    slices, length = partial.shape
    out = np.zeros(c)
    for s in range(slices):
        for start in range(0, length, c):
            for k in range(c):
                out[k] += partial[s, start + k]
    return out


def channel_sums(x):
    """The sum of each channel.   x (N, C, H, W)  ->  (C,)"""
    out = np.empty(x.shape[1], x.dtype)
    sum_rows(as_rows(x), out)
    return out


@kernel
def sum_rows(threads, rows, out):
    """out = the sum of each channel"""
    n, length = rows.shape
    slices, zero = slices_of(n), rows.dtype.type(0)
    partial = np.zeros((slices, length))
    for s in prange(slices):
        sums = np.empty(length, rows.dtype)
        stop = (s + 1) * n // slices
        for start in range(s * n // slices, stop, BLOCK):
            sums[:] = zero
            for i in range(start, min(stop, start + BLOCK)):
                for j in range(length):
                    sums[j] += rows[i, j]
            for j in range(length):
                partial[s, j] += sums[j]
    out[:] = folded(partial, len(out))


def channel_moments(x):
    """Mean and (biased) variance of each channel.   x (N, C, H, W)  ->  (C,), (C,)"""
    c = x.shape[1]
    mean, var = np.empty(c, x.dtype), np.empty(c, x.dtype)
    moments(as_rows(x), mean, var)
    return mean, var


@kernel
def moments(threads, rows, mean, var):
    """mean, var = the moments of each channel

    A variance is the difference of two sums, which must not be large. So a block sums d and d**2, d the distance from
    its own first row: however far that lies from the rest, it adds more to the variance than to the error. Doubles then
    sum the distances from the very first pixel, o + d:  sum (o + d)**2 = sum d**2 + o * (2 * sum d + o * sum 1).
    """
    n, length = rows.shape
    c, slices, zero = len(mean), slices_of(n), rows.dtype.type(0)
    origin = repeated(rows[0, :c], length)
    partial = np.zeros((2, slices, length))
    for s in prange(slices):
        sums, squares = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
        stop = (s + 1) * n // slices
        for start in range(s * n // slices, stop, BLOCK):
            end = min(stop, start + BLOCK)
            sums[:] = zero
            squares[:] = zero
            for i in range(start + 1, end):
                for j in range(length):
                    d = rows[i, j] - rows[start, j]
                    sums[j] += d
                    squares[j] += d * d
            count = np.float64(end - start)
            for j in range(length):
                o, d = np.float64(rows[start, j]) - origin[j], np.float64(sums[j])
                partial[0, s, j] += d + o * count
                partial[1, s, j] += squares[j] + o * (2 * d + o * count)
    first, second = folded(partial[0], c), folded(partial[1], c)
    m = n * length // c
    for k in range(c):
        mean[k] = origin[k] + first[k] / m
        spread = second[k] / m - (first[k] / m) ** 2
        var[k] = 0 if spread < 0 else spread                  # NaN stays NaN


def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel, + add; if `relu`, from 0 to `ceiling`.

    x, add (N, C, H, W) or None; weight, bias, mean, var (C,)  ->  (N, C, H, W)
    """
    rows = as_rows(x)
    out = empty(rows.shape, rows.dtype)
    scale = weight / np.sqrt(var + eps)
    top = math.inf if ceiling is None else float(ceiling)
    normalize(rows, rows if add is None else as_rows(add), mean, scale, bias, add is not None, relu, top, out)
    return as_image(out, x.shape)


@inner
def clipped(value, least, top):
    """min(max(value, least), top); NaN, which is neither below nor above a number, stays NaN."""
    above = least if value < least else value
    return top if above > top else above


@kernel
def normalize(threads, rows, add, mean, scale, bias, adds, relu, top, out):
    """out = (rows - mean) * scale + bias, + add if `adds`; no less than 0 if `relu`, and no more than `top`"""
    n, length = rows.shape
    middle, scale, bias = repeated(mean, length), repeated(scale, length), repeated(bias, length)
    least, top = rows.dtype.type(0 if relu else -np.inf), rows.dtype.type(top)
    for i in prange(n):
        if adds:
            for j in range(length):
                value = (rows[i, j] - middle[j]) * scale[j] + bias[j] + add[i, j]
                out[i, j] = clipped(value, least, top)
        else:
            for j in range(length):
                value = (rows[i, j] - middle[j]) * scale[j] + bias[j]
                out[i, j] = clipped(value, least, top)


def batch_norm_gradient(grad, out, x, weight, mean, var, eps, training, adds, ceiling=None):
    """The gradients of batch_norm by x, weight, bias and add (None unless `adds`).

    `out` is what batch_norm gave if it did ReLU, which lets grad pass where 0 < out < ceiling, else None. What passes
    is the gradient by add; with it, xhat = (x - mean) / sqrt(var + eps),  dweight = sum(grad * xhat)  and
    dbias = sum(grad): in training, where mean and var depend on x,
    dx = weight / sqrt(var + eps) * (grad - dbias / m - xhat * dweight / m),   m = N*H*W;  else the first term alone.
    """
    grads, rows, relu, c = as_rows(grad), as_rows(x), out is not None, x.shape[1]
    outs = as_rows(out) if relu else grads
    deviation = 1 / np.sqrt(var + eps)
    dweight, dbias = np.empty(c, x.dtype), np.empty(c, x.dtype)
    last = math.inf if ceiling is None else float(np.nextafter(x.dtype.type(ceiling), x.dtype.type(0)))
    sum_products(grads, outs, rows, mean, deviation, relu, last, dweight, dbias)
    dx = empty(rows.shape, rows.dtype)
    keep = adds and relu
    passed = empty(rows.shape, rows.dtype) if keep else dx
    share = 1 / (x.size // c) if training else 0.0
    combine(grads, outs, rows, mean, deviation, weight, dweight, dbias, share, relu, last, keep, dx, passed)
    dadd = as_image(passed, x.shape) if keep else grad if adds else None
    return as_image(dx, x.shape), dweight, dbias, dadd


@kernel
def sum_products(threads, grads, outs, rows, mean, deviation, relu, last, dweight, dbias):
    """dweight, dbias = the sums of grad * xhat and of grad in each channel, of a grad that passed ReLU if `relu`

    ReLU lets a grad pass where 0 < out <= last: the number next below the ceiling, or infinity.
    """
    n, length = rows.shape
    slices, zero, last, every = slices_of(n), rows.dtype.type(0), rows.dtype.type(last), not relu
    middle = repeated(mean, length)
    partial = np.zeros((2, slices, length))
    for s in prange(slices):
        sums, products = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
        stop = (s + 1) * n // slices
        for start in range(s * n // slices, stop, BLOCK):
            sums[:] = zero
            products[:] = zero
            for i in range(start, min(stop, start + BLOCK)):
                for j in range(length):
                    grad = grads[i, j] if every | ((outs[i, j] > zero) & (outs[i, j] <= last)) else zero
                    sums[j] += grad
                    products[j] += grad * (rows[i, j] - middle[j])
            for j in range(length):
                partial[0, s, j] += sums[j]
                partial[1, s, j] += products[j]
    sums, products = folded(partial[0], len(mean)), folded(partial[1], len(mean))
    for k in range(len(mean)):
        dbias[k] = sums[k]
        dweight[k] = products[k] * deviation[k]


@kernel
def combine(threads, grads, outs, rows, mean, deviation, weight, dweight, dbias, share, relu, last, keep, dx, passed):
    """dx = weight * deviation * (grad - share * (dbias + xhat * dweight)), of a grad that passed ReLU if `relu`

    `passed` gets that grad if `keep`.
    """
    n, length = rows.shape
    zero, last, every, share = rows.dtype.type(0), rows.dtype.type(last), not relu, rows.dtype.type(share)
    middle, scale = repeated(mean, length), repeated(weight * deviation, length)
    constant, slope = repeated(dbias * share, length), repeated(dweight * deviation * share, length)
    for i in prange(n):
        for j in range(length):
            grad = grads[i, j] if every | ((outs[i, j] > zero) & (outs[i, j] <= last)) else zero
            dx[i, j] = scale[j] * (grad - constant[j] - slope[j] * (rows[i, j] - middle[j]))
        if keep:
            for j in range(length):
                passed[i, j] = grads[i, j] if every | ((outs[i, j] > zero) & (outs[i, j] <= last)) else zero
