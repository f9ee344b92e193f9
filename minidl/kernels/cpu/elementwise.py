"""ReLU with all threads: NumPy makes one pass with one thread for each arithmetic sign, this one pass in all."""

import math

from numba import prange

from minidl.kernels import plain
from minidl.kernels.cpu.compile import kernel
from minidl.kernels.cpu.memory import empty

CHUNK = 8192       # elements that a thread takes at a time
FEW = 32768        # so many elements NumPy has done before the threads are under way


def relu(x, ceiling=None):
    """max(x, 0), elementwise, or min(max(x, 0), ceiling); NaN stays NaN."""
    if x.size < FEW:
        return plain.relu(x, ceiling)
    source, axes = in_memory_order(x)
    out = empty(source.shape, x.dtype)
    rectify(source.reshape(-1), out.reshape(-1), math.inf if ceiling is None else float(ceiling))
    return out.transpose(axes)


@kernel
def rectify(threads, x, out, ceiling):
    """out = min(max(x, 0), ceiling)"""
    zero, top = x.dtype.type(0), x.dtype.type(ceiling)
    for part in prange((len(x) + CHUNK - 1) // CHUNK):
        source, target = x[part * CHUNK:(part + 1) * CHUNK], out[part * CHUNK:(part + 1) * CHUNK]
        for i in range(len(source)):                         # from 0 on: LLVM vectorizes no index that may be negative
            above = zero if source[i] < zero else source[i]              # NaN is not below 0, nor above the top
            target[i] = top if above > top else above


def relu_gradient(grad, out, ceiling=None):
    """grad where out > 0, and out < ceiling if there is one; else 0."""
    if out.size < FEW:
        return plain.relu_gradient(grad, out, ceiling)
    above, axes = in_memory_order(out)
    dx = empty(above.shape, grad.dtype)
    grad = grad.transpose(sorted(range(grad.ndim), key=axes.__getitem__))
    if not grad.flags.c_contiguous:
        dx[...] = grad
        grad = dx
    top = None if ceiling is None else float(ceiling)
    rectify_gradient(grad.reshape(-1), above.reshape(-1), dx.reshape(-1), top)
    return dx.transpose(axes)


@kernel
def rectify_gradient(threads, grad, out, dx, ceiling):
    """dx = grad where out > 0, and out < ceiling unless that is None, else 0"""
    zero = out.dtype.type(0)
    top = zero if ceiling is None else out.dtype.type(ceiling)
    for part in prange((len(out) + CHUNK - 1) // CHUNK):
        some = slice(part * CHUNK, (part + 1) * CHUNK)
        above, source, target = out[some], grad[some], dx[some]
        for i in range(len(above)):
            passes = above[i] > zero if ceiling is None else (above[i] > zero) & (above[i] < top)
            target[i] = source[i] if passes else zero


def in_memory_order(x):
    """x with its axes in the order of memory, C-contiguous (a copy, if there are gaps), and the axes that undo it."""
    if x.flags.c_contiguous:
        return x, range(x.ndim)
    order = sorted(range(x.ndim), key=lambda i: -x.strides[i])
    ordered = x.transpose(order)
    ordered = ordered if ordered.flags.c_contiguous else ordered.copy()
    return ordered, sorted(range(x.ndim), key=order.__getitem__)
