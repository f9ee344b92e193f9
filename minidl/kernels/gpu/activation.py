"""ReLU, the activations and their gradients: elementwise, in the memory order of the input."""

import math

from minidl.arrays import is_float
from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, blocks, ordered, restored, variant
from minidl.kernels.gpu.runtime.launcher import launch

NAMES = "elu", "gelu", "gelu_tanh", "hardswish", "leaky_relu", "sigmoid", "silu", "softplus", "tanh"     # as in the .cu


def relu(x, ceiling=None):
    if not is_float(x.dtype):
        return array_module(x).maximum(x, 0)
    return values("relu", x, (), (math.inf if ceiling is None else ceiling,))


def relu_gradient(grad, out, ceiling=None):
    return gradients("relu_gradient", grad, out, (), (ceiling is not None, ceiling or 0))


def activation(name, x, *settings):
    return values("activation", x, (NAMES.index(name),), padded(settings))


def activation_gradient(name, grad, kept, *settings):
    return gradients("activation_gradient", grad, kept, (NAMES.index(name),), padded(settings))


def padded(settings):
    """The settings as the two numbers that the kernels take."""
    return *settings, *(0,) * (2 - len(settings))


def values(kernel, x, before, after):
    """out = kernel(*before, x, *after), elementwise"""
    order, (x,) = ordered(x)
    out = array_module(x).empty_like(x)
    run(kernel, *before, x, out, x.size, *after)
    return restored(order, out)


def gradients(kernel, grad, kept, before, after):
    """dx = kernel(*before, grad, kept, *after), elementwise"""
    order, (kept, grad) = ordered(kept, grad.astype(kept.dtype, copy=False))
    dx = array_module(grad).empty_like(kept)
    run(kernel, *before, grad, kept, dx, dx.size, *after)
    return restored(order, dx)


def run(kernel, *args):
    x = next(a for a in args if hasattr(a, "dtype"))
    launch(x, "activation.cu", kernel, (blocks(x.size, 4),), (THREADS,), *args, defines=variant(x.dtype))
