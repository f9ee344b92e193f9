"""The update steps of optimizers: one pass over all parameters, each thread updating the same number of elements.

The elements of all parameters are numbered consecutively, each array in memory order, and a thread updates one range of
these numbers. Kernels find the arrays by their ids (`data_pointer.py`). A parameter and its state must share a memory
order, whichever it is; otherwise array code does the step. A gradient in another order is copied first.
"""

import math
from typing import NamedTuple

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.data_pointer import IDS_LEAD_TO_DATA, elements
from minidl.kernels.cpu.runtime.work import share


class Numbering(NamedTuple):
    """`starts` and `like` of the parameters: see `Arrays`."""

    starts: np.ndarray
    like: np.ndarray


class SGDSettings(NamedTuple):
    """Settings of `sgd`."""

    lr: float
    momentum: float
    weight_decay: float
    nesterov: bool


class AdamSettings(NamedTuple):
    """x <- shrink * x - step * m / (root_scale * sqrt(v) + eps),  where `decay` is the weight decay in the gradient"""

    step: float
    beta1: float
    beta2: float
    root_scale: float
    eps: float
    decay: float
    shrink: float


class NAdamSettings(NamedTuple):
    """x <- shrink * x - (grad_step * g + mean_step * m) / (root_scale * sqrt(v) + eps)"""

    grad_step: float
    mean_step: float
    beta1: float
    beta2: float
    root_scale: float
    eps: float
    decay: float
    shrink: float


class AdagradSettings(NamedTuple):
    """Settings of `adagrad`."""

    lr: float
    eps: float
    weight_decay: float
    initial: float


class RMSpropSettings(NamedTuple):
    """Settings of `rmsprop`. centered: with first moments; moving: with velocities."""

    lr: float
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool
    moving: bool


def sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov):
    if not same_order(xs, velocities):
        plain.sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov)
        return
    grads = laid_out_like(xs, grads)
    sgd_all(xs.ids, ids(grads), xs.ids if velocities is None else velocities.ids, Numbering(xs.starts, xs.like),
            SGDSettings(lr, momentum, weight_decay, nesterov))


@kernel
def sgd_all(thread, threads, xs, grads, velocities, numbering, settings):
    """Update the elements of one thread."""
    for i in range(len(xs)):
        first, stop = share_of_array(thread, threads, numbering.starts, i)
        if first < stop:
            x = elements(xs[i], first, stop, numbering.like)
            grad = elements(grads[i], first, stop, numbering.like)
            if settings.momentum == 0:
                sgd_part(x, grad, settings)
            else:
                momentum_part(x, grad, elements(velocities[i], first, stop, numbering.like), settings)


@inner
def decayed(grad, x, decay):
    """grad + decay * x; without decay, a weight that is infinite or NaN does not reach the gradient."""
    return grad if decay == 0 else grad + decay * x


@inner
def sgd_part(x, grad, settings):
    """SGD without momentum."""
    lr, weight_decay = x.dtype.type(settings.lr), x.dtype.type(settings.weight_decay)
    for j in range(len(x)):
        x[j] -= decayed(grad[j], x[j], weight_decay) * lr


@inner
def momentum_part(x, grad, velocity, settings):
    """SGD with momentum."""
    real, nesterov = x.dtype.type, settings.nesterov
    lr, momentum, weight_decay = real(settings.lr), real(settings.momentum), real(settings.weight_decay)
    for j in range(len(x)):
        g = decayed(grad[j], x[j], weight_decay)
        v = momentum * velocity[j] + g
        velocity[j] = v
        x[j] -= (g + momentum * v if nesterov else v) * lr


def adam(xs, grads, first_moments, second_moments, steps, lr, betas, eps, weight_decay, decoupled):
    if not same_order(xs, first_moments, second_moments):
        plain.adam(xs, grads, first_moments, second_moments, steps, lr, betas, eps, weight_decay, decoupled)
        return
    beta1, beta2 = betas
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    settings = AdamSettings(lr / (1 - beta1**steps), beta1, beta2, 1 / math.sqrt(1 - beta2**steps), eps, decay, shrink)
    grads = laid_out_like(xs, grads)
    adam_all(xs.ids, ids(grads), first_moments.ids, second_moments.ids, Numbering(xs.starts, xs.like), settings)


@kernel
def adam_all(thread, threads, xs, grads, first_moments, second_moments, numbering, settings):
    """Update the elements of one thread."""
    for i in range(len(xs)):
        first, stop = share_of_array(thread, threads, numbering.starts, i)
        if first < stop:
            adam_part(elements(xs[i], first, stop, numbering.like), elements(grads[i], first, stop, numbering.like),
                      elements(first_moments[i], first, stop, numbering.like),
                      elements(second_moments[i], first, stop, numbering.like), settings)


@inner
def adam_part(x, grad, first_moment, second_moment, settings):
    """Adam, for some elements."""
    real = x.dtype.type
    step, root_scale, eps = real(settings.step), real(settings.root_scale), real(settings.eps)
    decay, shrink = real(settings.decay), real(settings.shrink)
    beta1, rest1, beta2, rest2 = (real(settings.beta1), real(1 - settings.beta1),
                                  real(settings.beta2), real(1 - settings.beta2))
    for j in range(len(x)):
        g = decayed(grad[j], x[j], decay)
        m = beta1 * first_moment[j] + rest1 * g
        v = beta2 * second_moment[j] + rest2 * (g * g)
        first_moment[j] = m
        second_moment[j] = v
        x[j] = shrink * x[j] - m / (root_scale * math.sqrt(v) + eps) * step


def nadam(xs, grads, first_moments, second_moments, steps, grad_step, mean_step, betas, eps, weight_decay, shrinkage):
    if not same_order(xs, first_moments, second_moments):
        plain.nadam(xs, grads, first_moments, second_moments, steps, grad_step, mean_step, betas, eps, weight_decay,
                    shrinkage)
        return
    beta1, beta2 = betas
    shrink, decay = (1.0, weight_decay) if shrinkage is None else (1 - shrinkage, 0.0)
    settings = NAdamSettings(grad_step, mean_step, beta1, beta2, 1 / math.sqrt(1 - beta2**steps), eps, decay, shrink)
    grads = laid_out_like(xs, grads)
    nadam_all(xs.ids, ids(grads), first_moments.ids, second_moments.ids, Numbering(xs.starts, xs.like), settings)


@kernel
def nadam_all(thread, threads, xs, grads, first_moments, second_moments, numbering, settings):
    """Update the elements of one thread."""
    for i in range(len(xs)):
        first, stop = share_of_array(thread, threads, numbering.starts, i)
        if first < stop:
            nadam_part(elements(xs[i], first, stop, numbering.like), elements(grads[i], first, stop, numbering.like),
                       elements(first_moments[i], first, stop, numbering.like),
                       elements(second_moments[i], first, stop, numbering.like), settings)


@inner
def nadam_part(x, grad, first_moment, second_moment, settings):
    """NAdam, for some elements."""
    real = x.dtype.type
    grad_step, mean_step, root_scale, eps = (real(settings.grad_step), real(settings.mean_step),
                                             real(settings.root_scale), real(settings.eps))
    decay, shrink = real(settings.decay), real(settings.shrink)
    beta1, rest1, beta2, rest2 = (real(settings.beta1), real(1 - settings.beta1),
                                  real(settings.beta2), real(1 - settings.beta2))
    for j in range(len(x)):
        g = decayed(grad[j], x[j], decay)
        m = beta1 * first_moment[j] + rest1 * g
        v = beta2 * second_moment[j] + rest2 * (g * g)
        first_moment[j] = m
        second_moment[j] = v
        x[j] = shrink * x[j] - (grad_step * g + mean_step * m) / (root_scale * math.sqrt(v) + eps)


def adagrad(xs, grads, sums, lr, eps, weight_decay, initial):
    if not same_order(xs, sums):
        plain.adagrad(xs, grads, sums, lr, eps, weight_decay, initial)
        return
    grads = laid_out_like(xs, grads)
    adagrad_all(xs.ids, ids(grads), sums.ids, Numbering(xs.starts, xs.like),
                AdagradSettings(lr, eps, weight_decay, initial))


@kernel
def adagrad_all(thread, threads, xs, grads, sums, numbering, settings):
    """Update the elements of one thread."""
    for i in range(len(xs)):
        first, stop = share_of_array(thread, threads, numbering.starts, i)
        if first < stop:
            adagrad_part(elements(xs[i], first, stop, numbering.like), elements(grads[i], first, stop, numbering.like),
                         elements(sums[i], first, stop, numbering.like), settings)


@inner
def adagrad_part(x, grad, sums, settings):
    """Adagrad, for some elements."""
    real = x.dtype.type
    lr, eps, weight_decay, initial = (real(settings.lr), real(settings.eps), real(settings.weight_decay),
                                      real(settings.initial))
    for j in range(len(x)):
        g = decayed(grad[j], x[j], weight_decay)
        s = sums[j] + g * g
        sums[j] = s
        x[j] -= g / (math.sqrt(initial + s) + eps) * lr


def rmsprop(xs, grads, second_moments, velocities, first_moments, lr, alpha, eps, weight_decay, momentum):
    if not same_order(xs, second_moments, velocities, first_moments):
        plain.rmsprop(xs, grads, second_moments, velocities, first_moments, lr, alpha, eps, weight_decay, momentum)
        return
    grads = laid_out_like(xs, grads)
    settings = RMSpropSettings(lr, alpha, eps, weight_decay, momentum, centered=first_moments is not None,
                               moving=velocities is not None)
    rmsprop_all(xs.ids, ids(grads), second_moments.ids, (velocities or second_moments).ids,
                (first_moments or second_moments).ids, Numbering(xs.starts, xs.like), settings)


@kernel
def rmsprop_all(thread, threads, xs, grads, second_moments, velocities, first_moments, numbering, settings):
    """Update the elements of one thread; velocities and first moments are not read if there are none."""
    for i in range(len(xs)):
        first, stop = share_of_array(thread, threads, numbering.starts, i)
        if first < stop:
            x = elements(xs[i], first, stop, numbering.like)
            grad = elements(grads[i], first, stop, numbering.like)
            second_moment = elements(second_moments[i], first, stop, numbering.like)
            velocity = elements(velocities[i], first, stop if settings.moving else first, numbering.like)
            first_moment = elements(first_moments[i], first, stop if settings.centered else first, numbering.like)
            rmsprop_part(x, grad, second_moment, velocity, first_moment, settings)


@inner
def rmsprop_part(x, grad, second_moment, velocity, first_moment, settings):
    """RMSprop, for some elements; velocity and first_moment may be empty."""
    real = x.dtype.type
    lr, alpha, rest, zero = real(settings.lr), real(settings.alpha), real(1 - settings.alpha), real(0)
    eps, weight_decay, momentum = real(settings.eps), real(settings.weight_decay), real(settings.momentum)
    moving, centered = len(velocity) > 0, len(first_moment) > 0
    for j in range(len(x)):
        g = decayed(grad[j], x[j], weight_decay)
        s = alpha * second_moment[j] + rest * (g * g)
        second_moment[j] = s
        if centered:
            m = alpha * first_moment[j] + rest * g
            first_moment[j] = m
            s = max(s - m * m, zero)
        step = g / (math.sqrt(s) + eps)
        if moving:
            step += momentum * velocity[j]
            velocity[j] = step
        x[j] -= step * lr


def lerp(xs, targets, weight):
    if not same_order(xs):
        plain.lerp(xs, targets, weight)
        return
    targets = laid_out_like(xs, targets)
    lerp_all(xs.ids, ids(targets), Numbering(xs.starts, xs.like), weight)


@kernel
def lerp_all(thread, threads, xs, targets, numbering, weight):
    """Update the elements of one thread."""
    for i in range(len(xs)):
        first, stop = share_of_array(thread, threads, numbering.starts, i)
        if first < stop:
            lerp_part(elements(xs[i], first, stop, numbering.like), elements(targets[i], first, stop, numbering.like),
                      weight)


@inner
def lerp_part(x, target, weight):
    """x <- x + weight * (target - x)"""
    weight = x.dtype.type(weight)
    for j in range(len(x)):
        x[j] += (target[j] - x[j]) * weight


# Where the elements lie

def same_order(xs, *slots):
    """Whether each x and its state are dense and in the same memory order, so that one index serves for all."""
    return IDS_LEAD_TO_DATA and xs.dense and all(
        slot is None or (slot.dense and slot.order == xs.order) for slot in slots)


def laid_out_like(xs, arrays):
    """The arrays, each with the shape, dtype and memory order of its x; a copy of those that have others."""
    dtype = xs.like.dtype
    return [array if type(array) is np.ndarray and array.dtype is dtype and array.strides == x.strides
            and array.shape == x.shape else copy_like(x, array) for array, x in zip(arrays, xs, strict=True)]


def copy_like(x, array):
    """A copy of `array` in the memory order of x."""
    copy = np.empty_like(x)
    copy[...] = array
    return copy


def ids(arrays):
    """The id of each array, int64."""
    return np.fromiter(map(id, arrays), np.int64, len(arrays))


@inner
def share_of_array(thread, threads, starts, i):
    """The elements of array i, from `first` up to `stop`, that one thread does; none if first >= stop."""
    mine = share(thread, threads, starts[-1])
    return max(mine.start, starts[i]) - starts[i], min(mine.stop, starts[i + 1]) - starts[i]
