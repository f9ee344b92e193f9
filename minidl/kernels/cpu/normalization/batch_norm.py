"""Batch normalization, channels last: an activation is a matrix with a row for each pixel and a column per channel.

Each direction reads its arrays twice: once for sums over the rows (forward, these are in `moments.py`), once for the
result, and what follows the normalization (a residual, ReLU) is done while an element is at hand. What these passes
move through memory is what they cost. So where ReLU let a gradient pass is computed anew from x, which the gradient
reads anyway, and read from the output only if a residual had its say in it.
The loops are those of group norm too, whose sets of rows are normalized apart from each other; here all are one set.
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.llvm.reduce_columns import sum_decided, sum_gradients, sum_passing
from minidl.kernels.cpu.normalization.pixel_rows import BLOCK, WIDTH, as_image, as_rows, folded, repeated, slices_of
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share


class Passed(NamedTuple):
    """What batch_norm_gradient must know of batch_norm's ReLU."""

    bias: np.ndarray
    last: float                  # the largest output that lets a gradient pass
    out: np.ndarray | None       # rows; None if nothing was added


def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel, + add; if `relu`, from 0 to `ceiling`.

    x, add (N, C, H, W) or None; weight, bias, mean, var (C,)  ->  (N, C, H, W), passed
    `passed` tells batch_norm_gradient where ReLU lets a gradient pass, 0 < out < ceiling; None without ReLU.
    """
    rows, adds = as_rows(x), add is not None
    out = empty(rows.shape, rows.dtype)
    least, top = 0.0 if relu else -math.inf, math.inf if ceiling is None else float(ceiling)
    scale = weight / np.sqrt(var + eps)
    normalize(rows, as_rows(add) if adds else rows, mean[None], scale[None], bias[None], adds, least, top, out)
    if not relu:
        return as_image(out, x.shape), None
    last = math.inf if ceiling is None else float(np.nextafter(x.dtype.type(ceiling), x.dtype.type(0)))
    return as_image(out, x.shape), Passed(bias, last, out if adds else None)


@kernel
def normalize(thread, threads, rows, add, mean, scale, bias, adds, least, top, out):
    """out = (rows - mean) * scale + bias, + add if `adds`; from `least` to `top`.   mean, scale, bias (sets, C)"""
    n, length = rows.shape
    middle, scale, bias = repeated(mean, length), repeated(scale, length), repeated(bias, length)
    least, top = rows.dtype.type(least), rows.dtype.type(top)
    each = max(1, n // max(1, len(mean)))
    for i in share(thread, threads, n):
        e = i // each
        if adds:
            for j in range(length):
                value = (rows[i, j] - middle[e, j]) * scale[e, j] + bias[e, j] + add[i, j]
                out[i, j] = clipped(value, least, top)
        else:
            for j in range(length):
                value = (rows[i, j] - middle[e, j]) * scale[e, j] + bias[e, j]
                out[i, j] = clipped(value, least, top)


@inner
def clipped(value, least, top):
    """min(max(value, least), top); NaN, which is neither below nor above a number, stays NaN."""
    above = least if value < least else value
    return top if above > top else above


def batch_norm_gradient(grad, passed, x, weight, mean, var, eps, training, adds):
    """The gradients of batch_norm by x, weight, bias and add (None unless `adds`).

    `passed` is what batch_norm gave beside its output. The grad that passes is the gradient by add; with it,
    xhat = (x - mean) / sqrt(var + eps),  dweight = sum(grad * xhat)  and  dbias = sum(grad): in training, where mean
    and var depend on x,
    dx = weight / sqrt(var + eps) * (grad - dbias / m - xhat * dweight / m),   m = N*H*W;  else the first term alone.
    """
    grads, rows, relu = as_rows(grad), as_rows(x), passed is not None
    bias, last, out = passed or Passed(mean, math.inf, None)
    deviation = np.sqrt(var + eps)
    scale = weight / deviation                       # to the bit that of batch_norm, so that the same numbers pass
    decided = out is not None                        # by the output: the grads that pass are the gradient by add
    dx = empty(rows.shape, rows.dtype)
    dadd = empty(rows.shape, rows.dtype) if decided else dx
    narrow = as_rows(x, length=WIDTH)
    sums, products = sum_products(grads.reshape(narrow.shape), narrow, out.reshape(narrow.shape) if decided else narrow,
                                  mean[None], scale[None], bias[None], relu, last, decided, dadd.reshape(narrow.shape))
    grads = dadd if decided else grads
    dweight, dbias = (products[0] / deviation).astype(x.dtype), sums[0].astype(x.dtype)
    share = scale / (x.size // x.shape[1]) if training else scale * 0
    combine(grads, rows, mean[None], scale[None], bias[None], (dbias * share)[None],
            (dweight / deviation * share)[None], relu and not decided, last, dx)
    return as_image(dx, x.shape), dweight, dbias, as_image(grads, x.shape) if adds else None


@inner
def passing(grad, value, zero, last):
    """The grad that ReLU lets pass at a value: all of it above 0 and up to `last`, else nothing."""
    return grad if (value > zero) & (value <= last) else zero


@kernel
def sum_products(thread, threads, grads, rows, out, mean, scale, bias, relu, last, decided, dadd):
    """The sums of grad and of grad * (rows - mean), (sets, C) each; if `relu`, of the grads that pass.

    What decides is `out` if `decided`, and then dadd gets those grads; else it is  (rows - mean) * scale + bias.
    """
    (sets, c), length = mean.shape, rows.shape[1]
    n = len(rows) // max(1, sets)
    slices, apart, last = slices_of(n, sets), length * rows.itemsize, rows.dtype.type(last)
    middle, scale, bias = repeated(mean, length), repeated(scale, length), repeated(bias, length)
    partial = np.zeros((2, sets, slices, length))
    for unit in share(thread, threads, sets * slices):
        sums, products = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
        e, s = unit // slices, unit % slices
        stop = e * n + (s + 1) * n // slices
        for start in range(e * n + s * n // slices, stop, BLOCK):
            count, at = min(BLOCK, stop - start), start * apart
            grad, x, center = grads.ctypes.data + at, rows.ctypes.data + at, middle[e].ctypes.data
            sums[:] = 0
            products[:] = 0
            both = sums.ctypes.data, products.ctypes.data
            if decided:
                sum_decided(rows, count, apart, length, last, grad, x, out.ctypes.data + at, dadd.ctypes.data + at,
                            center, *both)
            elif relu:
                sum_passing(rows, count, apart, length, last, grad, x, center, scale[e].ctypes.data,
                            bias[e].ctypes.data, *both)
            else:
                sum_gradients(rows, count, apart, length, grad, x, center, *both)
            for j in range(length):
                partial[0, e, s, j] += sums[j]
                partial[1, e, s, j] += products[j]
    return folded(partial[0], c), folded(partial[1], c)


@kernel
def combine(thread, threads, grads, rows, mean, scale, bias, constant, slope, relu, last, dx):
    """dx = scale * grad - constant - slope * (rows - mean);  if `relu`, of the grads that pass

    mean, scale, bias, constant, slope (sets, C).  What decides is  (rows - mean) * scale + bias.
    """
    n, length = rows.shape
    zero, last, each = rows.dtype.type(0), rows.dtype.type(last), max(1, n // max(1, len(mean)))
    middle, scale, bias = repeated(mean, length), repeated(scale, length), repeated(bias, length)
    constant, slope = repeated(constant, length), repeated(slope, length)
    for i in share(thread, threads, n):
        e = i // each
        if relu:
            for j in range(length):
                distance = rows[i, j] - middle[e, j]
                grad = passing(grads[i, j], distance * scale[e, j] + bias[e, j], zero, last)
                dx[i, j] = scale[e, j] * grad - constant[e, j] - slope[e, j] * distance
        else:
            for j in range(length):
                dx[i, j] = scale[e, j] * grads[i, j] - constant[e, j] - slope[e, j] * (rows[i, j] - middle[e, j])
