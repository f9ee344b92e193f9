"""Softmax and its logarithm along an axis, and their gradients, in one pass.

Rows are processed in transposed blocks (`row_blocks.py`), or one by one in place if they are long and follow one
another.
"""

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.layout import contiguous, contiguous_like
from minidl.kernels.cpu.llvm.reduce_rows import row_maximum
from minidl.kernels.cpu.llvm.vector_math import exp, log
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share_of_work
from minidl.kernels.cpu.softmax.row_blocks import (
    are_long,
    block_count,
    block_rows,
    carry,
    exponentiate,
    find_maxima,
    load_transposed,
    locate_block,
    row_products,
    row_sum,
    rows_along,
    store_transposed,
)

SERIAL_SIZE = 1024     # up to this many elements, array code computes a gradient before the pool has woken
LONGEST = 32768        # elements of a row in a block; longer rows are copied, so that their elements are neighbours


def softmax(x, axis):
    return values(x, axis, False)


def log_softmax(x, axis):
    return values(x, axis, True)


def softmax_gradient(grad, out, axis):
    return gradients(grad, out, axis, False) if out.size > SERIAL_SIZE else plain.softmax_gradient(grad, out, axis)


def log_softmax_gradient(grad, out, axis):
    return gradients(grad, out, axis, True) if out.size > SERIAL_SIZE else plain.log_softmax_gradient(grad, out, axis)


def values(x, axis, logarithm):
    """Softmax, or its logarithm, in the memory order of x."""
    source, axes = contiguous(x)
    out, layout = empty(source.shape, x.dtype), rows_along(source.shape, axes[axis])
    if layout.stride > 1 and layout.length > LONGEST:
        return np.moveaxis(values(axis_last(x, axis), -1, logarithm), -1, axis)
    fill = row_values if are_long(layout) else block_values
    fill(source.reshape(-1), layout, logarithm, out.reshape(-1))
    return out.transpose(axes)


def gradients(grad, out, axis, logarithm):
    """The gradient of softmax, or of its logarithm, in the memory order of `out`."""
    source, axes = contiguous(out)
    dx, layout = empty(source.shape, out.dtype), rows_along(source.shape, axes[axis])
    if layout.stride > 1 and layout.length > LONGEST:
        return np.moveaxis(gradients(axis_last(grad, axis), axis_last(out, axis), -1, logarithm), -1, axis)
    grad = contiguous_like(axes, grad, dx)
    fill = row_gradients if are_long(layout) else block_gradients
    fill(grad.reshape(-1), source.reshape(-1), layout, logarithm, dx.reshape(-1))
    return dx.transpose(axes)


def axis_last(x, axis):
    """A C-contiguous copy of x with that axis as the last."""
    return np.ascontiguousarray(np.moveaxis(x, axis, -1))


@kernel
def block_values(thread, threads, x, layout, logarithm, out):
    """Softmax, or its logarithm, of rows in blocks."""
    length, rows, one = layout.length, block_rows(layout.length), x.dtype.type(1)
    scores, largest, sums = np.zeros((length, rows), x.dtype), np.zeros(rows, x.dtype), np.zeros(rows, x.dtype)
    totals = np.zeros(rows)
    for block in share_of_work(thread, threads, block_count(rows, layout), len(x)):
        start, _, count = locate_block(block, rows, layout)
        load_transposed(x, start, layout.stride, count, scores)
        find_maxima(scores, largest)
        exponentiate(scores, largest, sums, totals)
        if logarithm:
            load_transposed(x, start, layout.stride, count, scores)
            for r in range(rows):
                sums[r] = log(sums[r])
            for c in range(length):
                for r in range(rows):
                    scores[c, r] = scores[c, r] - largest[r] - sums[r]
        else:
            for r in range(rows):
                sums[r] = one / sums[r]
            for c in range(length):
                for r in range(rows):
                    scores[c, r] *= sums[r]
        store_transposed(scores, count, out, start, layout.stride)


@kernel
def block_gradients(thread, threads, grad, out, layout, logarithm, dx):
    """dx = g - p * sum(g)  with p = exp(out) and g = grad for the logarithm, else p = out and g = grad * out."""
    length, rows = layout.length, block_rows(layout.length)
    g, p, sums = np.zeros((length, rows), out.dtype), np.zeros((length, rows), out.dtype), np.zeros(rows, out.dtype)
    totals = np.zeros(rows)
    for block in share_of_work(thread, threads, block_count(rows, layout), len(out)):
        start, _, count = locate_block(block, rows, layout)
        load_transposed(grad, start, layout.stride, count, g)
        load_transposed(out, start, layout.stride, count, p)
        sums[:], totals[:] = 0, 0
        for c in range(length):
            if logarithm:
                for r in range(rows):
                    p[c, r] = exp(p[c, r])
            else:
                for r in range(rows):
                    g[c, r] *= p[c, r]
            for r in range(rows):
                sums[r] += g[c, r]
            carry(c, length, sums, totals)
        for c in range(length):
            for r in range(rows):
                g[c, r] -= p[c, r] * sums[r]
        store_transposed(g, count, dx, start, layout.stride)


@kernel
def row_values(thread, threads, x, layout, logarithm, out):
    """Softmax, or its logarithm, of long rows that follow one another."""
    length, size, one = layout.length, x.itemsize, x.dtype.type(1)
    for i in share_of_work(thread, threads, layout.count, len(x)):
        source, target = x[i * length:(i + 1) * length], out[i * length:(i + 1) * length]
        largest = row_maximum(x, x.ctypes.data + i * length * size, length)
        for j in range(length):
            target[j] = exp(source[j] - largest)
        total = row_sum(out, out.ctypes.data + i * length * size, length)
        if logarithm:
            total = log(total)
            for j in range(length):
                target[j] = source[j] - largest - total
        else:
            total = one / total
            for j in range(length):
                target[j] *= total


@kernel
def row_gradients(thread, threads, grad, out, layout, logarithm, dx):
    """The gradient of softmax, or of its logarithm, for long rows that follow one another."""
    length, size, zero = layout.length, out.itemsize, out.dtype.type(0)
    for i in share_of_work(thread, threads, layout.count, len(out)):
        row = slice(i * length, (i + 1) * length)
        g, p, target = grad[row], out[row], dx[row]
        grad_address, out_address = grad.ctypes.data + i * length * size, out.ctypes.data + i * length * size
        if logarithm:
            total = row_sum(grad, grad_address, length)
            for j in range(length):
                target[j] = g[j] - exp(p[j]) * total
        else:
            total = row_products(grad, grad_address, out_address, out_address, zero, length)[0]
            for j in range(length):
                target[j] = p[j] * (g[j] - total)
