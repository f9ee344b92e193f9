"""Elementwise functions in one pass with all threads: ReLU, and the activations of `scalar_functions.py`.

NumPy makes one pass over memory with one thread for each arithmetic sign of a formula.
"""

import functools
from types import FunctionType

from numba import prange

from minidl.kernels.cpu import scalar_functions
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty

CHUNK = 8192       # elements that a thread takes at a time
FEW = 16384        # so many elements one thread has done before the others are under way
function = None    # stands in the loops for one of the curves: see `over_array`


def relu(x, ceiling=None):
    """max(x, 0), elementwise, or min(max(x, 0), ceiling); NaN stays NaN."""
    return values(scalar_functions.relu, x) if ceiling is None else values(scalar_functions.capped_relu, x, ceiling)


def relu_gradient(grad, out, ceiling=None):
    """grad where out > 0, and out < ceiling if there is one; else 0."""
    if ceiling is None:
        return gradients(scalar_functions.relu_gradient, grad, out)
    return gradients(scalar_functions.capped_relu_gradient, grad, out, ceiling)


def activation(name, x, *settings):
    """The activation of that name, elementwise; its settings in the order that the functional one has them."""
    return values(scalar_functions.CURVES[name][0], x, *settings)


def activation_gradient(name, grad, kept, *settings):
    """grad times the slope of that activation, at its input x or, for sigmoid and tanh, where its output is `kept`."""
    return gradients(scalar_functions.CURVES[name][1], grad, kept, *settings)


def values(function, x, *settings):
    """function(x, *settings) of each element, in memory as x is."""
    source, axes = in_memory_order(x)
    out = empty(source.shape, x.dtype)
    over_array(each_value, function)(source.reshape(-1), out.reshape(-1), tuple(map(x.dtype.type, settings)))
    return out.transpose(axes)


def gradients(function, grad, kept, *settings):
    """function(grad, kept, *settings) of each two elements, in memory as `kept` is."""
    source, axes = in_memory_order(kept)
    dx = empty(source.shape, grad.dtype)
    grad = in_order_of(axes, grad, dx)
    settings = tuple(map(kept.dtype.type, settings))
    over_array(each_gradient, function)(grad.reshape(-1), source.reshape(-1), dx.reshape(-1), settings)
    return dx.transpose(axes)


@functools.cache
def over_array(loop, curve):
    """The kernel that `loop` is with `curve` as its `function`.

    It is a copy of the loop with a name and a global of its own. (With an argument or a closure Numba would compile the
    same, but could not keep the result on disk.)
    """
    copy = FunctionType(loop.__code__, globals() | {"function": curve})
    copy.__qualname__ = f"{loop.__name__}_of_{curve.__name__}"
    return kernel(copy)


def each_value(threads, x, out, settings):
    """out = function(x, *settings)"""
    if len(x) <= FEW:
        for i in range(len(x)):
            out[i] = function(x[i], *settings)
        return
    for part in prange((len(x) + CHUNK - 1) // CHUNK):
        source, target = x[part * CHUNK:(part + 1) * CHUNK], out[part * CHUNK:(part + 1) * CHUNK]
        for i in range(len(source)):                         # from 0 on: LLVM vectorizes no index that may be negative
            target[i] = function(source[i], *settings)


def each_gradient(threads, grad, kept, dx, settings):
    """dx = function(grad, kept, *settings)"""
    if len(grad) <= FEW:
        for i in range(len(grad)):
            dx[i] = function(grad[i], kept[i], *settings)
        return
    for part in prange((len(grad) + CHUNK - 1) // CHUNK):
        some = slice(part * CHUNK, (part + 1) * CHUNK)
        source, point, target = grad[some], kept[some], dx[some]
        for i in range(len(source)):
            target[i] = function(source[i], point[i], *settings)


def in_memory_order(x):
    """x with its axes in the order of memory, C-contiguous (a copy, if there are gaps), and the axes that undo it."""
    if x.flags.c_contiguous:
        return x, range(x.ndim)
    order = sorted(range(x.ndim), key=lambda i: -x.strides[i])
    ordered = x.transpose(order)
    ordered = ordered if ordered.flags.c_contiguous else ordered.copy()
    return ordered, sorted(range(x.ndim), key=order.__getitem__)


def in_order_of(axes, x, room):
    """x as `in_memory_order` made another of its shape: in `room`, an array like that, if x itself lies otherwise."""
    x = x.transpose(sorted(range(x.ndim), key=axes.__getitem__))
    if x.flags.c_contiguous:
        return x
    room[...] = x
    return room
