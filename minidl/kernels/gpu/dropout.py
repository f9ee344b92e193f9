"""Which elements dropout keeps: random bits that depend on the seed and the element alone, whatever the grid."""

import math

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, blocks
from minidl.kernels.gpu.runtime.launcher import launch


def dropout_mask(x, shape, p, seed):
    out, size = array_module(x).empty(shape, dtype=bool), math.prod(shape)
    by_address = hasattr(seed, "dtype")
    if size:
        launch(x, "dropout.cu", "dropout_mask", (blocks(size),), (THREADS,), out, size, p, 0 if by_address else seed,
               seed if by_address else None)
    return out
