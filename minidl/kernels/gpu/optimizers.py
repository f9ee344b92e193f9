"""The update steps of optimizers: all parameters in one launch, or one for each ARRAYS of them.

`lr`, and Adam's `steps`, may also be arrays of one float64 on the device: a captured launch reads them at each replay.
A parameter and its state must share a memory order, whichever it is, without gaps; otherwise array code does the step.
A gradient in another order is copied first.
"""

import itertools

import numpy as np

from minidl.arrays import is_float
from minidl.device import array_module
from minidl.kernels import plain
from minidl.kernels.gpu.columns import counters
from minidl.kernels.gpu.elements import THREADS, variant
from minidl.kernels.gpu.runtime.launcher import launch
from minidl.kernels.parameters import Arrays, memory_order
from minidl.kernels.plain.optimizers import kept_unless

ARRAYS, SLOTS, STRETCH = 64, 5, 4096                 # as in optimizers.cu
TABLE = np.dtype([("array", np.uint64, (SLOTS, ARRAYS)), ("size", np.int64, ARRAYS), ("first", np.int32, ARRAYS + 1),
                  ("count", np.int32), ("unless", np.uint64)], align=True)


def sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov):
    if not together(xs, velocities):
        with kept_unless(xs, velocities):
            plain.sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov)
        return
    update("sgd", (xs, grads, velocities), *by_value_or_address(lr), momentum, weight_decay, velocities is not None,
           nesterov)


def adam(xs, grads, first_moments, second_moments, steps, lr, betas, eps, weight_decay, decoupled):
    if not together(xs, first_moments, second_moments):
        with kept_unless(xs, first_moments, second_moments):
            plain.adam(xs, grads, first_moments, second_moments, steps, lr, betas, eps, weight_decay, decoupled)
        return
    update("adam", (xs, grads, first_moments, second_moments), *by_value_or_address(lr), *by_value_or_address(steps),
           *betas, eps, weight_decay, bool(decoupled))


def nadam(xs, grads, first_moments, second_moments, steps, grad_step, mean_step, betas, eps, weight_decay, shrinkage):
    if not together(xs, first_moments, second_moments):
        with kept_unless(xs, first_moments, second_moments):
            plain.nadam(xs, grads, first_moments, second_moments, steps, grad_step, mean_step, betas, eps, weight_decay,
                        shrinkage)
        return
    decay, shrink = (weight_decay, 1) if shrinkage is None else (0, 1 - shrinkage)
    update("nadam", (xs, grads, first_moments, second_moments), grad_step, mean_step, betas[0], 1 - betas[0], betas[1],
           1 - betas[1], (1 - betas[1]**steps) ** -0.5, eps, decay, shrink)


def adagrad(xs, grads, sums, lr, eps, weight_decay, initial):
    if not together(xs, sums):
        with kept_unless(xs, sums):
            plain.adagrad(xs, grads, sums, lr, eps, weight_decay, initial)
        return
    update("adagrad", (xs, grads, sums), *by_value_or_address(lr), eps, weight_decay, initial)


def rmsprop(xs, grads, second_moments, velocities, first_moments, lr, alpha, eps, weight_decay, momentum):
    if not together(xs, second_moments, velocities, first_moments):
        with kept_unless(xs, second_moments, velocities, first_moments):
            plain.rmsprop(xs, grads, second_moments, velocities, first_moments, lr, alpha, eps, weight_decay, momentum)
        return
    update("rmsprop", (xs, grads, second_moments, velocities, first_moments), *by_value_or_address(lr), alpha,
           1 - alpha, eps, weight_decay, momentum, velocities is not None, first_moments is not None)


def lerp(xs, targets, weight):
    if together(xs):
        update("lerp", (xs, targets), weight)
    else:
        plain.lerp(xs, targets, weight)


def unscale(grads, scale, found):
    if grads.gapless:
        launch_all("unscale", grads, [grads.addresses], scale, found)
    else:
        plain.unscale(grads, scale, found)


def clip(grads, most, eps):
    grads = Arrays(grads)
    if not grads.gapless or len({g.dtype for g in grads}) > 1 or not is_float(grads[0].dtype) or not grads.starts[-1]:
        return plain.clip(grads, most, eps)
    xp = array_module(*grads)
    clipped = Arrays([xp.empty_like(g) for g in grads])
    tables = [table_of(grads, [clipped.addresses, grads.addresses], i) for i in range(0, len(grads), ARRAYS)]
    firsts = [0, *itertools.accumulate(int(table["first"][0, table["count"][0]]) for table in tables)]
    partial, norm = xp.empty(firsts[-1], dtype=np.float64), xp.empty((), dtype=np.float64)
    done = counters(xp, grads[0].device.id, xp.cuda.get_current_stream().ptr)
    for kernel, numbers in (("grad_norm", lambda first: (partial, first, firsts[-1], done, norm)),
                            ("clip", lambda first: (norm, most, eps))):
        for table, (first, end) in zip(tables, itertools.pairwise(firsts), strict=True):
            if end > first:
                launch(grads[0], "optimizers.cu", kernel, (end - first,), (THREADS,), table, *numbers(first),
                       defines=variant(grads[0].dtype))
    return list(clipped), norm


def by_value_or_address(number):
    """(a number, None) or (0, an array with one number)."""
    return (0.0, number) if hasattr(number, "dtype") else (number, None)


def together(xs, *slots):
    """Whether all arrays have no gaps, and those of a parameter the same memory order."""
    return xs.gapless and all(slot is None or (slot.gapless and slot.order == xs.order) for slot in slots)


def update(kernel, slots, *numbers):
    """Launch a kernel on a table of the arrays in all slots; those of the second slot are laid out like the first."""
    xs, others, *states = slots
    others = [laid_out_like(x, order, other) for x, order, other in zip(xs, xs.order, others, strict=True)]
    addresses = [xs.addresses, [other.data.ptr for other in others], *(state and state.addresses for state in states)]
    launch_all(kernel, xs, addresses, *numbers)


def launch_all(kernel, xs, addresses, *numbers):
    """Launch a kernel on tables of arrays, whose addresses in each slot are given; those of the first are xs."""
    for first in range(0, len(xs), ARRAYS):
        table = table_of(xs, addresses, first)
        if stretches := int(table["first"][0, table["count"][0]]):
            launch(xs[0], "optimizers.cu", kernel, (stretches,), (THREADS,), table, *numbers,
                   defines=variant(xs[0].dtype))


def table_of(xs, addresses, first):
    """The structure Table of optimizers.cu, for the arrays from `first` on."""
    table, sizes = np.zeros(1, TABLE), np.diff(xs.starts[first:first + ARRAYS + 1])
    count = table["count"][0] = len(sizes)
    table["unless"] = 0 if xs.unless is None else xs.unless.data.ptr
    for i, slot in enumerate(addresses):
        if slot is not None:
            table["array"][0, i, :count] = slot[first:first + count]
    table["size"][0, :count] = sizes
    table["first"][0, 1:count + 1] = np.cumsum(-(-sizes // STRETCH))
    return table


def laid_out_like(x, order, other):
    """`other` in the dtype and memory order of x, which has no gaps: itself, or a copy."""
    if getattr(other, "dtype", None) == x.dtype and other.shape == x.shape and (
            other.strides == x.strides or memory_order(other) == order):
        return other
    copy = array_module(x).empty_like(x)
    copy[...] = other
    return copy
