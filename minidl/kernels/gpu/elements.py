"""What launches over whole arrays share: the variant of a source for a dtype, grids, and memory orders."""

import functools

import numpy as np

from minidl.device import array_module
from minidl.kernels.memory_order import axes_by_stride

THREADS = 256                    # of a block
BLOCKS = 8 * 132                 # of a grid, at most: a thread then computes several elements, one after the other
DEFINES = {"float16": ("REAL=half",), "bfloat16": ("REAL=bfloat16",), "float32": (),
           "float64": ("REAL=double", "MATH=double")}


@functools.cache
def variant(dtype):
    """The defines with which a source is compiled for arrays of a dtype: see real.cuh."""
    return DEFINES[dtype.name]


@functools.cache
def math_dtype(dtype):
    """The dtype in which kernels compute for arrays of a dtype: float32 for half precision, else the same."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def blocks(size, width=1):
    """How many blocks run over `size` elements, when each thread takes `width` at a time."""
    return max(1, min(-(-size // (THREADS * width)), BLOCKS))


def ordered(*arrays):
    """(the axes in the memory order of the first array, every array in that order as a C-contiguous array)

    All arrays have one shape. They are views where possible, else copies.
    """
    if all(x.flags.c_contiguous for x in arrays):
        return None, arrays
    order = axes_by_stride(arrays[0].strides)
    return order, [array_module(x).ascontiguousarray(x.transpose(order)) for x in arrays]


def restored(order, x):
    """x with its axes where they were before `ordered`: a view."""
    return x if order is None else x.transpose(sorted(range(x.ndim), key=order.__getitem__))


def below_2_31(what, n):
    """Raise ValueError where a kernel would count further than 32 bits; elements are counted in 64."""
    if n >= 2**31:
        raise ValueError(f"{what}: {n}, and the GPU's kernels take fewer than 2**31 at once; take smaller batches")
