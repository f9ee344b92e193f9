"""ReLU with all threads: NumPy makes one pass with one thread for each arithmetic sign, this one pass in all."""

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import kernel

CHUNK = 8192       # elements that a thread takes at a time


def relu(x):
    """max(x, 0), elementwise; NaN stays NaN."""
    x = x if in_memory_order(x) is not None else x.copy()
    out = np.empty_like(x)
    rectify(in_memory_order(x), in_memory_order(out))
    return out


@kernel
def rectify(threads, x, out):
    """out = max(x, 0)"""
    for part in prange((len(x) + CHUNK - 1) // CHUNK):
        for i in range(part * CHUNK, min(len(x), (part + 1) * CHUNK)):
            out[i] = 0 if x[i] < 0 else x[i]                 # NaN is not below 0


def relu_gradient(grad, out):
    """grad where out > 0, else 0."""
    out = out if in_memory_order(out) is not None else out.copy()
    dx = np.empty_like(out)
    if grad.strides != out.strides:
        dx[...] = grad
        grad = dx
    rectify_gradient(in_memory_order(grad), in_memory_order(out), in_memory_order(dx))
    return dx


@kernel
def rectify_gradient(threads, grad, out, dx):
    """dx = grad where out > 0, else 0"""
    for part in prange((len(out) + CHUNK - 1) // CHUNK):
        for i in range(part * CHUNK, min(len(out), (part + 1) * CHUNK)):
            dx[i] = grad[i] if out[i] > 0 else 0


def in_memory_order(x):
    """The elements of x as they follow each other in memory, without copying; None if there are gaps between them."""
    ordered = x.transpose(sorted(range(x.ndim), key=lambda i: -x.strides[i]))
    return ordered.reshape(-1) if ordered.flags.c_contiguous else None
