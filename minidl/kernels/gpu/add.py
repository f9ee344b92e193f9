"""The sum of two arrays of one shape; broadcasting is left to CuPy, which does it in one kernel as well."""

from minidl.arrays import is_float
from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, blocks, ordered, restored, variant
from minidl.kernels.gpu.runtime.launcher import launch


def add(a, b):
    if a.shape != b.shape or a.dtype != b.dtype or not is_float(a.dtype):
        return a + b
    order, (a, b) = ordered(a, b)
    out = array_module(a).empty_like(a)
    launch(a, "add.cu", "add", (blocks(a.size, 4),), (THREADS,), a, b, out, a.size, defines=variant(a.dtype))
    return restored(order, out)
