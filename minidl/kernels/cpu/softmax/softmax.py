"""Softmax and its logarithm along an axis, and their gradients, in one pass.

Lines stand side by side, as `lanes.py` tells. Only long ones that lie one after another are worked on where they lie:
the first cache holds such a line, but not a block of them.
"""

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.activation import in_memory_order, in_order_of
from minidl.kernels.cpu.llvm.reduce_rows import largest_number, sum_distances, sum_weighted
from minidl.kernels.cpu.llvm.vector_math import exp, log
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share
from minidl.kernels.cpu.softmax.row_blocks import (
    are_long,
    bring,
    find_largest,
    lanes_for,
    lines_along,
    place_of,
    take,
    to_powers,
)

PARTS = 32         # into which lines are dealt, for the threads to take
FEW = 4096         # so many numbers are worth a part
TINY = 1024        # of so many, array code has made a gradient before the threads are under way


def softmax(x, axis):
    """exp(x) / sum(exp(x)) along `axis`."""
    return values(x, axis, False)


def log_softmax(x, axis):
    """log(softmax(x)) along `axis`: x - logsumexp(x), exact where softmax would round to 0."""
    return values(x, axis, True)


def softmax_gradient(grad, out, axis):
    """out * (grad - sum(grad * out)), the sum along `axis`."""
    return gradients(grad, out, axis, False) if out.size > TINY else plain.softmax_gradient(grad, out, axis)


def log_softmax_gradient(grad, out, axis):
    """grad - exp(out) * sum(grad), the sum along `axis`."""
    return gradients(grad, out, axis, True) if out.size > TINY else plain.log_softmax_gradient(grad, out, axis)


def values(x, axis, logs):
    """Softmax, or its logarithm, in memory as x is."""
    source, axes = in_memory_order(x)
    out, lines = empty(source.shape, x.dtype), lines_along(source.shape, axes[axis])
    fill = long_values if are_long(lines) else block_values
    fill(source.reshape(-1), lines, logs, out.reshape(-1))
    return out.transpose(axes)


def gradients(grad, out, axis, logs):
    """The gradient of softmax, or of its logarithm, in memory as `out` is."""
    source, axes = in_memory_order(out)
    dx, lines = empty(source.shape, out.dtype), lines_along(source.shape, axes[axis])
    grad = in_order_of(axes, grad, dx)
    fill = long_gradients if are_long(lines) else block_gradients
    fill(grad.reshape(-1), source.reshape(-1), lines, logs, dx.reshape(-1))
    return dx.transpose(axes)


@inner
def parts_for(size):
    """How many parts so many numbers are worth."""
    return min(PARTS, (size + FEW - 1) // FEW)


@kernel
def block_values(thread, threads, x, lines, logs, out):
    """Softmax, or its logarithm, of lines side by side."""
    groups, count, length, _ = lines
    lanes, parts = lanes_for(length), parts_for(len(x))
    blocks = groups * ((count + lanes - 1) // lanes)
    for part in share(thread, threads, parts):
        some_values(part * blocks // parts, (part + 1) * blocks // parts, lanes, x, lines, logs, out)


@inner
def some_values(first, last, lanes, x, lines, logs, out):
    """The blocks from `first` up to `last`, counted through all groups."""
    _, _, length, apart = lines
    scores, largest, sums = np.zeros((length, lanes), x.dtype), np.zeros(lanes, x.dtype), np.zeros(lanes, x.dtype)
    one = x.dtype.type(1)
    for block in range(first, last):
        start, _, count = place_of(block, lanes, lines)
        bring(x, start, apart, count, scores)
        find_largest(scores, largest)
        to_powers(scores, largest, sums)
        if logs:
            bring(x, start, apart, count, scores)
            for r in range(lanes):
                sums[r] = log(sums[r])
            for c in range(length):
                for r in range(lanes):
                    scores[c, r] = scores[c, r] - largest[r] - sums[r]
        else:
            for r in range(lanes):
                sums[r] = one / sums[r]
            for c in range(length):
                for r in range(lanes):
                    scores[c, r] *= sums[r]
        take(scores, count, out, start, apart)


@kernel
def block_gradients(thread, threads, grad, out, lines, logs, dx):
    """The gradient of softmax, or of its logarithm, for lines side by side."""
    groups, count, length, _ = lines
    lanes, parts = lanes_for(length), parts_for(len(out))
    blocks = groups * ((count + lanes - 1) // lanes)
    for part in share(thread, threads, parts):
        some_gradients(part * blocks // parts, (part + 1) * blocks // parts, lanes, grad, out, lines, logs, dx)


@inner
def some_gradients(first, last, lanes, grad, out, lines, logs, dx):
    """dx = g - p * sum(g)  with p = exp(out) and g = grad for the logarithm, else p = out and g = grad * out."""
    _, _, length, apart = lines
    g, p, sums = np.zeros((length, lanes), out.dtype), np.zeros((length, lanes), out.dtype), np.zeros(lanes, out.dtype)
    zero = out.dtype.type(0)
    for block in range(first, last):
        start, _, count = place_of(block, lanes, lines)
        bring(grad, start, apart, count, g)
        bring(out, start, apart, count, p)
        for r in range(lanes):
            sums[r] = zero
        for c in range(length):
            if logs:
                for r in range(lanes):
                    p[c, r] = exp(p[c, r])
            else:
                for r in range(lanes):
                    g[c, r] *= p[c, r]
            for r in range(lanes):
                sums[r] += g[c, r]
        for c in range(length):
            for r in range(lanes):
                g[c, r] -= p[c, r] * sums[r]
        take(g, count, dx, start, apart)


@kernel
def long_values(thread, threads, x, lines, logs, out):
    """Softmax, or its logarithm, of long lines one after another."""
    _, count, length, _ = lines
    parts, size, zero, one = parts_for(len(x)), x.itemsize, x.dtype.type(0), x.dtype.type(1)
    for part in share(thread, threads, parts):
        for i in range(part * count // parts, (part + 1) * count // parts):
            source, target = x[i * length:(i + 1) * length], out[i * length:(i + 1) * length]
            top = largest_number(x, x.ctypes.data + i * length * size, length)
            for j in range(length):
                target[j] = exp(source[j] - top)
            total = sum_distances(out, out.ctypes.data + i * length * size, zero, length)[0]
            if logs:
                total = log(total)
                for j in range(length):
                    target[j] = source[j] - top - total
            else:
                total = one / total
                for j in range(length):
                    target[j] *= total


@kernel
def long_gradients(thread, threads, grad, out, lines, logs, dx):
    """The gradient of softmax, or of its logarithm, for long lines one after another."""
    _, count, length, _ = lines
    parts, size, zero = parts_for(len(out)), out.itemsize, out.dtype.type(0)
    for part in share(thread, threads, parts):
        for i in range(part * count // parts, (part + 1) * count // parts):
            g, p, target = (grad[i * length:(i + 1) * length], out[i * length:(i + 1) * length],
                            dx[i * length:(i + 1) * length])
            of_grad, of_out = grad.ctypes.data + i * length * size, out.ctypes.data + i * length * size
            if logs:
                total = sum_distances(grad, of_grad, zero, length)[0]
                for j in range(length):
                    target[j] = g[j] - exp(p[j]) * total
            else:
                total = sum_weighted(grad, of_grad, of_out, of_out, zero, length)[0]
                for j in range(length):
                    target[j] = p[j] * (g[j] - total)
