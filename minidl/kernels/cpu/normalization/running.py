"""The running statistics of batch norm, in one call: array code makes ten."""

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.traced import now


def move_moments(running_mean, running_var, batches, mean, var, momentum, n, in_place=False):
    if not running_mean.dtype == running_var.dtype == mean.dtype == var.dtype:
        return plain.move_moments(running_mean, running_var, batches, mean, var, momentum, n, in_place)
    running = running_mean, running_var, batches
    moved = running if in_place else tuple(np.empty_like(v) for v in running)
    if in_place and now.recording is not None:
        now.recording.note_written(moved)
    move.serial(*running, mean, var, -1.0 if momentum is None else momentum, n / (n - 1), *moved)
    return moved


@kernel
def move(thread, threads, running_mean, running_var, batches, mean, var, momentum, unbiased, moved_mean, moved_var,
         moved_batches):
    """See plain; all moments have the same share if momentum is negative. The arrays may be moved in place."""
    count = batches[()] + 1
    gain = 1 / count if momentum < 0 else momentum
    kept, of_mean, of_var = mean.dtype.type(1 - gain), mean.dtype.type(gain), mean.dtype.type(gain * unbiased)
    for k in range(len(mean)):
        moved_mean[k] = running_mean[k] * kept + mean[k] * of_mean
        moved_var[k] = running_var[k] * kept + var[k] * of_var
    moved_batches[()] = count
