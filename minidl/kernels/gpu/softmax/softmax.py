"""Softmax and log-softmax along an axis, in the memory order of the input."""

from minidl.device import array_module
from minidl.kernels import plain
from minidl.kernels.gpu.elements import ordered, restored, variant
from minidl.kernels.gpu.runtime.launcher import launch
from minidl.kernels.gpu.softmax.rows import grid_of, rows_along


def softmax(x, axis):
    return plain.softmax(x, axis) if x.size == 0 else along("softmax", axis, x)


def softmax_gradient(grad, out, axis):
    return along("softmax_gradient", axis, out, grad.astype(out.dtype, copy=False))


def log_softmax(x, axis):
    return plain.log_softmax(x, axis) if x.size == 0 else along("log_softmax", axis, x)


def log_softmax_gradient(grad, out, axis):
    return along("log_softmax_gradient", axis, out, grad.astype(out.dtype, copy=False))


def along(kernel, axis, x, *grads):
    """Launch kernel(*grads, x, out) along an axis of x."""
    order, (x, *grads) = ordered(x, *grads)
    rows = rows_along(x.shape, axis if order is None else order.index(axis))
    out = array_module(x).empty_like(x)
    launch(x, "softmax/softmax.cu", kernel, *grid_of(*rows), *grads, x, out, *rows, defines=variant(x.dtype))
    return restored(order, out)
