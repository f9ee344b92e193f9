"""Dropout, by a generator that counts: the numbers are others than on a CPU, and the same for the same seed."""

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, blocks, variant
from minidl.kernels.gpu.runtime.launcher import launch
from minidl.kernels.gpu.selection import select


# `seed` may also be an array () of uint64 on the device: a captured launch reads it at each replay.
def dropout(x, shape, seed, p, scale):
    xp, on_device = array_module(x), hasattr(seed, "dtype")
    together = tuple(shape) == x.shape and x.flags.c_contiguous
    kept, out = xp.empty(shape, dtype=bool), xp.empty_like(x) if together else None
    launch(x, "dropout.cu", "dropout", (blocks(kept.size, 4),), (THREADS,), x if together else None, out, kept,
           kept.size, 0 if on_device else seed, seed if on_device else None, p, scale, defines=variant(x.dtype))
    return out if together else select(kept, x, scale), kept
