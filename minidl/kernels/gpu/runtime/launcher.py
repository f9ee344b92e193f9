"""Launches the kernels of the .cu files, with their arguments checked against the source.

CuPy checks nothing: a Python float that is passed where a kernel takes `float` would be read as half of a double. So
each number is cast to the type of its parameter, and an array must have the parameter's dtype, be C-contiguous and live
on the device of the launch. A structure, or a table of addresses, travels by value, as a NumPy array with one element:
nothing is copied to the device first.
"""

import functools
import sys
from contextlib import nullcontext

from minidl.kernels.gpu.runtime.source import signatures, source

UNASKED_SHARED_MEMORY = 48 * 1024                    # bytes; a kernel that needs more must ask for it


@functools.cache
def module(library, file, defines):
    """(a compiled source for the array library of that name, {kernel: its parameters})"""
    options = (*(f"-D{define}" for define in defines), "-std=c++17")
    code = source(file)
    return sys.modules[library].RawModule(code=code, options=options), signatures(code, options)


@functools.cache
def kernel(library, device, file, name, shared_mem, defines):
    """One kernel, loaded on one device: (function, parameters)"""
    raw, kernels = module(library, file, defines)
    function = raw.get_function(name)
    if shared_mem > UNASKED_SHARED_MEMORY:
        function.max_dynamic_shared_size_bytes = shared_mem
    return getattr(function, "kernel", function), kernels[name]         # without CuPy's search for the device


def launch(x, file, name, grid, block, *args, shared_mem=0, defines=()):
    """Launch kernel `name` of `file` on the device of the array x, on that device's current stream.

    grid, block    up to three lengths each
    args           arrays (None is a null pointer), numbers, and structures
    shared_mem     bytes of dynamic shared memory
    defines        "NAME=value", as for the compiler's -D; each combination is compiled by itself
    """
    library, device = type(x).__module__.partition(".")[0], x.device
    cuda = sys.modules[library].cuda
    with nullcontext() if cuda.runtime.getDevice() == device.id else cuda.Device(device.id):
        function, parameters = kernel(library, device.id, file, name, shared_mem, defines)
        if len(args) != len(parameters):
            raise TypeError(f"{name} takes {len(parameters)} arguments, not {len(args)}")
        function(grid, block, tuple(map(checked, parameters, args)), shared_mem=shared_mem)


def capability(x):
    """The compute capability of the device of the array x: 90 for 9.0."""
    return capability_of(type(x).__module__.partition(".")[0], x.device.id)


@functools.cache
def capability_of(library, device):
    return int(sys.modules[library].cuda.Device(device).compute_capability)


def checked(parameter, arg):
    """An argument as the kernel needs it; TypeError or ValueError if it is not."""
    if not parameter.pointer:
        return arg if parameter.dtype is None else parameter.dtype.type(arg)
    if arg is not None:
        if arg.dtype != parameter.dtype is not None:
            raise TypeError(f"{parameter.name} holds {arg.dtype}, and the kernel takes {parameter.type}")
        if not arg.flags.c_contiguous:
            raise ValueError(f"{parameter.name} must be C-contiguous; strides {arg.strides} of {arg.shape} are not")
    return arg
