"""Matrix products, also of many matrices at once; transposed operands are read where they are."""

import math

import numpy as np

from minidl.device import array_module
from minidl.kernels.gpu.gemm.tiles import plan
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.runtime.launcher import launch

MOST_LAYERS = 65535                                  # of a grid


def matmul(a, b, bias=None, relu=False):
    xp = array_module(a)
    (rows, inner), columns = a.shape[-2:], b.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = xp.empty((*batch, rows, columns), dtype=a.dtype)
    if out.size:
        (a, a_transposed, a_step), (b, b_transposed, b_step) = operand(a, batch), operand(b, batch)
        multiply(a, b, contiguous(bias), out.reshape(-1, rows, columns), inner, (a_step, b_step), relu,
                 (a_transposed, b_transposed))
    return out


def multiply(a, b, bias, out, inner, steps, relu, transposed):
    """Launch the kernel for out (matrices, rows, columns)."""
    matrices, rows, columns = out.shape
    lengths = rows if transposed[0] else inner, inner if transposed[1] else columns, columns
    orders = f"A_TRANSPOSED={transposed[0]:d}", f"B_TRANSPOSED={transposed[1]:d}"
    for first in range(0, matrices, MOST_LAYERS):
        some = out[first:first + MOST_LAYERS]
        some_a, some_b = at(a, first * steps[0]), at(b, first * steps[1])
        p = plan(rows, columns, inner, len(some), lengths, (some_a, some_b))
        launch(a, "gemm/matmul.cu", "matmul", p.grid, (p.threads,), some_a, some_b, bias, some, rows, columns, inner,
               *steps, relu, p.slices, *p.workspace(a), shared_mem=p.shared_mem(a.dtype),
               defines=(*p.defines(a.dtype), *orders))


def operand(x, batch):
    """(matrices in an order that the kernel reads, whether that is the order of columns, elements between matrices)"""
    if math.prod(x.shape[:-2]) not in (1, math.prod(batch)):
        x = array_module(x).broadcast_to(x, (*batch, *x.shape[-2:]))
    step = x.shape[-1] * x.shape[-2] if math.prod(x.shape[:-2]) > 1 else 0
    swapped = x.swapaxes(-1, -2)
    if swapped.flags.c_contiguous and not x.flags.c_contiguous:
        return swapped, True, step
    return contiguous(x), False, step


def at(x, element):
    """x from one of its elements on."""
    return x.reshape(-1)[element:] if element else x
