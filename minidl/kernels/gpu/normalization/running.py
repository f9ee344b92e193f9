"""The running statistics of batch norm, in one launch."""

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, math_dtype, variant
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.runtime.launcher import launch


def move_moments(running_mean, running_var, batches, mean, var, momentum, n, in_place=False):
    xp, dtype = array_module(mean), math_dtype(running_mean.dtype)
    running = contiguous(running_mean), contiguous(running_var), batches
    mean, var = (contiguous(v.astype(dtype, copy=False)) for v in (mean, var))
    moved = (running_mean, running_var, batches) if in_place else tuple(xp.empty_like(v) for v in running)
    launch(mean, "normalization/running.cu", "move_moments", (1,), (THREADS,), *running, mean, var, *moved, mean.size,
           momentum is not None, momentum or 0, n / (n - 1), defines=variant(running_mean.dtype))
    return moved
