"""Elementwise functions in one pass by all threads: ReLU, and the activations of `scalar_functions.py`.

NumPy makes one pass over memory, with one thread, for each operation of a formula.
"""

import functools
from types import FunctionType

from minidl.kernels.cpu import scalar_functions
from minidl.kernels.cpu.layout import contiguous, contiguous_like
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import SERIAL_SIZE, share_of_elements

function = None    # a placeholder in the loops below, which `over_array` replaces by a scalar function


def relu(x, ceiling=None):
    return values(scalar_functions.relu, x) if ceiling is None else values(scalar_functions.capped_relu, x, ceiling)


def relu_gradient(grad, out, ceiling=None):
    if ceiling is None:
        return gradients(scalar_functions.relu_gradient, grad, out)
    return gradients(scalar_functions.capped_relu_gradient, grad, out, ceiling)


def activation(name, x, *settings):
    return values(scalar_functions.ACTIVATIONS[name][0], x, *settings)


def activation_gradient(name, grad, kept, *settings):
    return gradients(scalar_functions.ACTIVATIONS[name][1], grad, kept, *settings)


def values(scalar_function, x, *settings):
    """scalar_function(x, *settings), elementwise, in the memory order of x."""
    source, axes = contiguous(x)
    out, settings = empty(source.shape, x.dtype), tuple(map(x.dtype.type, settings))
    loop = over_array(each_value, scalar_function)
    (loop if x.size > SERIAL_SIZE else loop.serial)(source.reshape(-1), out.reshape(-1), settings)
    return out.transpose(axes)


def gradients(scalar_function, grad, kept, *settings):
    """scalar_function(grad, kept, *settings), elementwise, in the memory order of `kept`."""
    source, axes = contiguous(kept)
    dx, settings = empty(source.shape, grad.dtype), tuple(map(kept.dtype.type, settings))
    grad = contiguous_like(axes, grad, dx)
    loop = over_array(each_gradient, scalar_function)
    (loop if dx.size > SERIAL_SIZE else loop.serial)(grad.reshape(-1), source.reshape(-1), dx.reshape(-1), settings)
    return dx.transpose(axes)


@functools.cache
def over_array(loop, scalar_function):
    """The kernel that runs `loop` with `scalar_function` as `function`.

    It is a copy of the loop with a name and a global of its own: a function given as an argument or in a closure would
    compile to the same code, but Numba could not cache it on disk.
    """
    copy = FunctionType(loop.__code__, globals() | {"function": scalar_function})
    copy.__qualname__ = f"{loop.__name__}_of_{scalar_function.__name__}"
    return kernel(copy)


def each_value(thread, threads, x, out, settings):
    """out = function(x, *settings)"""
    first, stop = share_of_elements(thread, threads, len(x))
    source, target = x[first:stop], out[first:stop]
    for i in range(len(source)):                             # from 0 on: LLVM vectorizes no index that may be negative
        target[i] = function(source[i], *settings)


def each_gradient(thread, threads, grad, kept, dx, settings):
    """dx = function(grad, kept, *settings)"""
    first, stop = share_of_elements(thread, threads, len(grad))
    incoming, source, target = grad[first:stop], kept[first:stop], dx[first:stop]
    for i in range(len(target)):
        target[i] = function(incoming[i], source[i], *settings)
