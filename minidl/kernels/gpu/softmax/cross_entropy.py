"""Softmax and cross entropy together: two launches, and nothing is read back."""

from minidl import faults
from minidl.device import array_module
from minidl.kernels.gpu import columns
from minidl.kernels.gpu.elements import math_dtype, variant
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.runtime.launcher import launch
from minidl.kernels.gpu.softmax.rows import grid_of, rows_along

FILE = "softmax/cross_entropy.cu"
TARGETS = {"b": "signed char", "h": "short", "i": "int", "l": "long long", "q": "long long", "B": "unsigned char",
           "H": "unsigned short", "I": "unsigned", "L": "unsigned long long", "Q": "unsigned long long"}


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    xp, classes, last = array_module(logits), logits.shape[1], logits.ndim - 1
    apart = not logits.flags.c_contiguous                                # then bring the classes together
    x = contiguous(xp.moveaxis(logits, 1, last)) if apart else logits
    rows = rows_along(x.shape, last if apart else 1)
    total = xp.empty((), dtype=math_dtype(logits.dtype))
    losses, gradient = xp.empty(target.shape, dtype=x.dtype), xp.empty_like(x)
    target, weight = contiguous(target), contiguous(weight.astype(total.dtype, copy=False))
    defines = variant(x.dtype) + (f"TARGET={TARGETS[target.dtype.char]}",)
    grid, block = columns.shape(target.size, 1)
    fault = faults.flag(x, faults.no_class("cross_entropy", classes, ignore_index))
    launch(x, FILE, "sum_weights", grid, block, target, weight, *columns.workspace(x, *grid, 1), total, target.size,
           classes, ignore_index, fault, defines=defines)
    launch(x, FILE, "cross_entropy", *grid_of(*rows), x, target, weight, total, losses, gradient,
           *rows, ignore_index, smoothing, bool(mean), defines=defines)
    return losses, total, xp.moveaxis(gradient, last, 1) if apart else gradient
