"""Batch normalization, channels last: an activation is a matrix with a row for each pixel and a column per channel.

Each direction reads its arrays twice: once for sums over the rows (forward, `moments.py` computes them), and once for
the result, with residual and ReLU in the same pass. The cost of a pass is memory traffic. So backward recomputes from
x, which it reads anyway, where ReLU passes a gradient; it reads the output only if a residual was added. Group norm
uses the same loops with a set of rows for each image; here all rows are one set.
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.llvm.reduce_columns import (
    BLOCK_ROWS,
    Rows,
    sum_column_gradients,
    sum_column_gradients_by_input,
    sum_column_gradients_by_output,
)
from minidl.kernels.cpu.normalization.pixel_rows import (
    STRIP_LENGTH,
    as_image,
    as_rows,
    fold_channels,
    locate_split,
    partial_sums,
    repeated,
)
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import SERIAL_SIZE, share

ALL, BY_INPUT, BY_OUTPUT = range(3)      # how to find the gradients that ReLU passes: no ReLU; from x; from the output


class Passed(NamedTuple):
    """What batch_norm_gradient needs to know of batch_norm's ReLU."""

    bias: np.ndarray
    highest: float               # the largest output that passes a gradient
    out: np.ndarray | None       # pixel rows; None if nothing was added


class Affine(NamedTuple):
    """(x - mean) * scale + bias, channel by channel of each set: arrays (sets, C)."""

    mean: np.ndarray
    scale: np.ndarray
    bias: np.ndarray


class Gate(NamedTuple):
    """Which gradients ReLU passes: those where 0 < output <= highest."""

    rule: int                    # ALL, BY_INPUT or BY_OUTPUT
    highest: float


# In this backend, `passed` is a Passed.
def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    rows, adds = as_rows(x), add is not None
    out = empty(rows.shape, rows.dtype)
    lowest, highest = 0.0 if relu else -math.inf, math.inf if ceiling is None else float(ceiling)
    scale = weight / np.sqrt(var + eps)
    norm = Affine(mean[None], scale[None], bias[None])
    normalize(rows, as_rows(add) if adds else rows, norm, adds, lowest, highest, out)
    if not relu:
        return as_image(out, x.shape), None
    passes = math.inf if ceiling is None else float(np.nextafter(x.dtype.type(ceiling), x.dtype.type(0)))
    return as_image(out, x.shape), Passed(bias, passes, out if adds else None)


@kernel
def normalize(thread, threads, rows, add, norm, adds, lowest, highest, out):
    """out = (rows - mean) * scale + bias, + add if `adds`; from `lowest` to `highest`"""
    n, length = rows.shape
    mean, scale, bias = repeated(norm.mean, length), repeated(norm.scale, length), repeated(norm.bias, length)
    lowest, highest = rows.dtype.type(lowest), rows.dtype.type(highest)
    rows_of_set = max(1, n // max(1, len(mean)))
    for i in share(thread, threads, n):
        e = i // rows_of_set
        if adds:
            for j in range(length):
                value = (rows[i, j] - mean[e, j]) * scale[e, j] + bias[e, j] + add[i, j]
                out[i, j] = clipped(value, lowest, highest)
        else:
            for j in range(length):
                value = (rows[i, j] - mean[e, j]) * scale[e, j] + bias[e, j]
                out[i, j] = clipped(value, lowest, highest)


@inner
def clipped(value, lowest, highest):
    """min(max(value, lowest), highest); NaN stays NaN, since no comparison with it holds."""
    above = lowest if value < lowest else value
    return highest if above > highest else above


def batch_norm_gradient(grad, passed, x, weight, mean, var, eps, training, adds):
    rows, grads = as_rows(x), as_rows(grad)
    bias, highest, out = passed or Passed(mean, math.inf, None)
    by_output = out is not None                      # the gradients that pass are also the gradient by add: keep them
    gate = Gate(BY_OUTPUT if by_output else ALL if passed is None else BY_INPUT, highest)
    std = np.sqrt(var + eps)
    scale = weight / std                             # bit for bit that of batch_norm, so that the same elements pass
    norm = Affine(mean[None], scale[None], bias[None])
    dx = empty(rows.shape, rows.dtype)
    dadd = empty(rows.shape, rows.dtype) if by_output else dx
    strips = as_rows(x, length=STRIP_LENGTH)
    partial = sum_products(grads.reshape(strips.shape), strips, norm, gate,
                           (out if by_output else rows).reshape(strips.shape), dadd.reshape(strips.shape))
    sums, (dweight, dbias, constant, slope) = np.empty((2, 1, len(mean))), np.empty((4, len(mean)), x.dtype)
    finish = finish_gradient if partial.size > SERIAL_SIZE else finish_gradient.serial
    finish(partial, std, scale, max(1, x.size // x.shape[1]), sums, dweight, dbias, constant, slope)
    if by_output:
        grads, gate = dadd, Gate(ALL, highest)
    combine(grads, rows, norm, gate, training, constant[None], slope[None], dx)
    return as_image(dx, x.shape), dweight, dbias, as_image(grads, x.shape) if adds else None


@inner
def passing(grad, value, zero, highest):
    """The gradient that ReLU passes at an output `value`."""
    return grad if (value > zero) & (value <= highest) else zero


def sum_products(grads, rows, norm, gate, out, passed):
    """The partial sums of grad and of grad * (rows - mean), for those that the gate passes.

    If the gate's rule is BY_OUTPUT, `out` decides which pass, and `passed` gets them; else both are unused.
    """
    partial = partial_sums(2, rows, len(norm.mean))
    sum_splits(grads, rows, norm, gate, out, passed, partial)
    return partial


@kernel
def sum_splits(thread, threads, grads, rows, norm, gate, out, passed, partial):
    """The partial sums of `sum_products`."""
    _, sets, splits, length = partial.shape
    stride, highest = length * rows.itemsize, rows.dtype.type(gate.highest)
    mean, scale, bias = repeated(norm.mean, length), repeated(norm.scale, length), repeated(norm.bias, length)
    sums, products = np.empty(length, rows.dtype), np.empty(length, rows.dtype)
    for unit in share(thread, threads, sets * splits):
        e, s, first, stop = locate_split(unit, rows, partial)
        partial[:, e, s] = 0
        for start in range(first, stop, BLOCK_ROWS):
            block, at = Rows(min(BLOCK_ROWS, stop - start), stride, length), start * stride
            grad, x, center = grads.ctypes.data + at, rows.ctypes.data + at, mean[e].ctypes.data
            sums[:] = 0
            products[:] = 0
            both = sums.ctypes.data, products.ctypes.data
            if gate.rule == BY_OUTPUT:
                sum_column_gradients_by_output(rows, block, highest, grad, x, out.ctypes.data + at,
                                               passed.ctypes.data + at, center, *both)
            elif gate.rule == BY_INPUT:
                sum_column_gradients_by_input(rows, block, highest, grad, x, center, scale[e].ctypes.data,
                                              bias[e].ctypes.data, *both)
            else:
                sum_column_gradients(rows, block, grad, x, center, *both)
            for j in range(length):
                partial[0, e, s, j] += sums[j]
                partial[1, e, s, j] += products[j]


@kernel
def finish_gradient(thread, threads, partial, std, scale, count, sums, of_weight, of_bias, constant, slope):
    """The gradients of weight and bias, from partial sums, and what `combine` needs; all (C,), and sums (2, 1, C).

    count   elements per channel
    """
    fold_channels(thread, threads, partial, sums)
    for k in share(thread, threads, len(std)):
        of_bias[k], of_weight[k] = sums[0, 0, k], sums[1, 0, k] / std[k]
        factor = scale[k] / scale.dtype.type(count)
        constant[k], slope[k] = of_bias[k] * factor, of_weight[k] / std[k] * factor


@kernel
def combine(thread, threads, grads, rows, norm, gate, training, constant, slope, dx):
    """dx = scale * grad, minus constant + slope * (rows - mean) if `training`, with the gradients that the gate passes

    constant, slope (sets, C).  The gate's rule is ALL or BY_INPUT.
    """
    n, length = rows.shape
    zero, highest = rows.dtype.type(0), rows.dtype.type(gate.highest)
    mean, scale, bias = repeated(norm.mean, length), repeated(norm.scale, length), repeated(norm.bias, length)
    constant, slope = repeated(constant, length), repeated(slope, length)
    rows_of_set = max(1, n // max(1, len(mean)))
    for i in share(thread, threads, n):
        e = i // rows_of_set
        if gate.rule == BY_INPUT:
            for j in range(length):
                distance = rows[i, j] - mean[e, j]
                direct = scale[e, j] * passing(grads[i, j], distance * scale[e, j] + bias[e, j], zero, highest)
                dx[i, j] = direct - constant[e, j] - slope[e, j] * distance if training else direct
        else:
            for j in range(length):
                direct = scale[e, j] * grads[i, j]
                dx[i, j] = direct - constant[e, j] - slope[e, j] * (rows[i, j] - mean[e, j]) if training else direct
