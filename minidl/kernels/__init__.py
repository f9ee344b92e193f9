"""Arrays in, arrays out: the heavy arithmetic, with no tape and no Tensor.

`backend(x)` returns the package whose functions work on the array `x`: `plain` (array code that runs on NumPy and CuPy:
short, and what the tests compare with), `cpu` (Numba, several times faster) or `gpu` (CUDA C, for CuPy's arrays). All
define the same functions with the same signatures, so an op asks once, `kernels = backend(x)`, and its backward keeps
the answer.

`use(backend="plain")` asks for array code everywhere; `use(winograd=False)` turns off Winograd's algorithm, which saves
multiplications of a convolution at the cost of precision. Both are settings of the calling thread.
"""

import functools
import importlib

import numpy as np

from minidl.arrays import is_float
from minidl.device import array_module
from minidl.kernels.geometry import Taps, Window
from minidl.kernels.own_thread import in_own_thread
from minidl.kernels.parameters import Arrays
from minidl.kernels.settings import set_matmul_precision, settings, use, using
from minidl.kernels.training import expect_training

__all__ = ["Arrays", "Taps", "Window", "backend", "byte_backend", "expect_training", "host_backend",
           "set_matmul_precision", "settings", "use", "using"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def backend(x):
    """The package of kernels for the array `x`, by where it lives, its dtype, and the settings of this thread."""
    if isinstance(x, np.ndarray):
        if x.dtype in FLOATS:
            return host_backend()
    elif settings.backend != "plain" and is_float(x.dtype) and hasattr(array_module(x), "RawModule"):
        from minidl.kernels import gpu
        return gpu
    from minidl.kernels import plain
    return plain


def byte_backend(x):
    """The package of kernels for augmentation of the array `x`, of bytes as well."""
    if isinstance(x, np.ndarray):
        return host_backend()
    if settings.backend != "plain" and hasattr(array_module(x), "RawModule"):
        from minidl.kernels import gpu
        return gpu
    from minidl.kernels import plain
    return plain


def host_backend():
    """The package for NumPy arrays of any dtype, by the settings of this thread: for what works on bytes, too."""
    if settings.backend != "plain":
        return cpu_kernels()
    from minidl.kernels import plain
    return plain


@functools.cache
def cpu_kernels():
    """The package `cpu`, imported late, because Numba takes longer to load than all the rest.

    An import that a signal handler interrupts would leave both half loaded.
    """
    return in_own_thread(functools.partial(importlib.import_module, "minidl.kernels.cpu"))
