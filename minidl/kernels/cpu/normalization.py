"""Batch normalization, channels last: an activation is a matrix with a row for each pixel and a column per channel.

Each direction reads its arrays twice: once for sums over the rows (forward, these are in `moments.py`), once for the
result, and what follows the normalization (a residual, ReLU) is done while an element is at hand. What these passes
move through memory is what they cost; so the gradient learns from bits where ReLU let it pass (`passed.py`).
The loops are those of group norm too, whose sets of rows are normalized apart from each other; here all are one set.
"""

import math

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.passed import mark, marks_for, pass_marked
from minidl.kernels.cpu.rows import BLOCK, as_image, as_rows, folded, repeated, slices_of


def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel, + add; if `relu`, from 0 to `ceiling`.

    x, add (N, C, H, W) or None; weight, bias, mean, var (C,)  ->  (N, C, H, W), passed
    `passed` tells batch_norm_gradient where ReLU lets a gradient pass, 0 < out < ceiling; None without ReLU.
    """
    rows = as_rows(x)
    out = empty(rows.shape, rows.dtype)
    adds = rows if add is None else as_rows(add)
    marks = marks_for(rows if relu else rows[:0])
    top = math.inf if ceiling is None else float(ceiling)
    last = math.inf if ceiling is None else float(np.nextafter(x.dtype.type(ceiling), x.dtype.type(0)))
    scale = weight / np.sqrt(var + eps)
    normalize(rows, adds, mean[None], scale[None], bias[None], add is not None, relu, top, last, out, marks)
    return as_image(out, x.shape), marks if relu else None


@inner
def clipped(value, least, top):
    """min(max(value, least), top); NaN, which is neither below nor above a number, stays NaN."""
    above = least if value < least else value
    return top if above > top else above


@kernel
def normalize(threads, rows, add, mean, scale, bias, adds, relu, top, last, out, marks):
    """out = (rows - mean) * scale + bias, + add if `adds`; no less than 0 if `relu`, and no more than `top`

    mean, scale, bias (sets, C).  If `relu`, marks tell which of `out` are above 0 and no larger than `last`.
    """
    n, length = rows.shape
    middle, scale, bias = repeated(mean, length), repeated(scale, length), repeated(bias, length)
    least, top, last = rows.dtype.type(0 if relu else -np.inf), rows.dtype.type(top), rows.dtype.type(last)
    each = max(1, n // max(1, len(mean)))
    for i in prange(n):
        e = i // each
        if adds:
            for j in range(length):
                value = (rows[i, j] - middle[e, j]) * scale[e, j] + bias[e, j] + add[i, j]
                out[i, j] = clipped(value, least, top)
        else:
            for j in range(length):
                value = (rows[i, j] - middle[e, j]) * scale[e, j] + bias[e, j]
                out[i, j] = clipped(value, least, top)
        if relu:
            mark(out, out.ctypes.data + i * out.strides[0], last, marks.ctypes.data + i * marks.strides[0], length)


def batch_norm_gradient(grad, passed, x, weight, mean, var, eps, training, adds):
    """The gradients of batch_norm by x, weight, bias and add (None unless `adds`).

    `passed` is what batch_norm gave beside its output. The grad that passes is the gradient by add; with it,
    xhat = (x - mean) / sqrt(var + eps),  dweight = sum(grad * xhat)  and  dbias = sum(grad): in training, where mean
    and var depend on x,
    dx = weight / sqrt(var + eps) * (grad - dbias / m - xhat * dweight / m),   m = N*H*W;  else the first term alone.
    """
    grads, rows, relu = as_rows(grad), as_rows(x), passed is not None
    marks = passed if relu else marks_for(rows[:0])
    deviation = 1 / np.sqrt(var + eps)
    sums, products = sum_products(grads, marks, rows, mean[None], relu)
    dweight, dbias = (products[0] * deviation).astype(x.dtype), sums[0].astype(x.dtype)
    scale = weight * deviation
    share = scale / (x.size // x.shape[1]) if training else scale * 0
    dx = empty(rows.shape, rows.dtype)
    keep = adds and relu
    dadd = empty(rows.shape, rows.dtype) if keep else dx
    combine(grads, marks, rows, mean[None], scale[None], (dbias * share)[None], (dweight * deviation * share)[None],
            relu, keep, dx, dadd)
    return as_image(dx, x.shape), dweight, dbias, as_image(dadd, x.shape) if keep else grad if adds else None


@kernel
def sum_products(threads, grads, marks, rows, mean, relu):
    """The sums of grad and of grad * (rows - mean), (sets, C) each; of the marked grads alone if `relu`"""
    (sets, c), length = mean.shape, rows.shape[1]
    n = len(rows) // max(1, sets)
    slices, zero = slices_of(n, sets), rows.dtype.type(0)
    middle = repeated(mean, length)
    partial = np.zeros((2, sets, slices, length))
    for unit in prange(sets * slices):
        line = np.empty(length, rows.dtype)
        sums, products = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
        e, s = unit // slices, unit % slices
        stop = e * n + (s + 1) * n // slices
        for start in range(e * n + s * n // slices, stop, BLOCK):
            for j in range(length):
                sums[j], products[j] = zero, zero
            for i in range(start, min(stop, start + BLOCK)):
                if relu:
                    pass_marked(line, grads.ctypes.data + i * grads.strides[0],
                                marks.ctypes.data + i * marks.strides[0], line.ctypes.data, length)
                    for j in range(length):
                        sums[j] += line[j]
                        products[j] += line[j] * (rows[i, j] - middle[e, j])
                else:
                    for j in range(length):
                        sums[j] += grads[i, j]
                        products[j] += grads[i, j] * (rows[i, j] - middle[e, j])
            for j in range(length):
                partial[0, e, s, j] += sums[j]
                partial[1, e, s, j] += products[j]
    return folded(partial[0], c), folded(partial[1], c)


@kernel
def combine(threads, grads, marks, rows, mean, scale, constant, slope, relu, keep, dx, dadd):
    """dx = scale * grad - constant - slope * (rows - mean), of the marked grads alone if `relu`

    mean, scale, constant, slope (sets, C).  If `keep`, dadd gets those grads.
    """
    n, length = rows.shape
    each = max(1, n // max(1, len(mean)))
    middle, scale = repeated(mean, length), repeated(scale, length)
    constant, slope = repeated(constant, length), repeated(slope, length)
    for i in prange(n):
        e = i // each
        if relu:
            source, where = grads.ctypes.data + i * grads.strides[0], marks.ctypes.data + i * marks.strides[0]
            pass_marked(dx, source, where, dx.ctypes.data + i * dx.strides[0], length)
            for j in range(length):
                dx[i, j] = scale[e, j] * dx[i, j] - constant[e, j] - slope[e, j] * (rows[i, j] - middle[e, j])
            if keep:
                pass_marked(dadd, source, where, dadd.ctypes.data + i * dadd.strides[0], length)
        else:
            for j in range(length):
                dx[i, j] = scale[e, j] * grads[i, j] - constant[e, j] - slope[e, j] * (rows[i, j] - middle[e, j])
