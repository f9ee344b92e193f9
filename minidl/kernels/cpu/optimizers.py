"""How optimizers move weights: one pass over all parameters, in which each thread takes the same number of elements.

Numba takes no lists of arrays cheaply, and asking NumPy for an array's address takes a microsecond, which for the
gradients of a small network, new arrays in each step, is more than all the arithmetic. So kernels get ids. In CPython
an object's id is its address, and NumPy's PyArrayObject holds the pointer to its numbers right behind the head that
every object has. All arrays of one parameter must lie in the same order; then the order does not matter.
"""

import math

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from minidl.kernels import plain
from minidl.kernels.cpu.runtime.compile import inner, kernel

HEAD = object.__basicsize__


def sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov):
    """v <- momentum * v + g,  x <- x - lr * v  with g = grad + weight_decay * x;  nesterov: lr * (g + momentum * v).

    xs, velocities are Arrays; velocities is None if momentum is 0, and then v = g.
    """
    if not direct(xs, velocities):
        plain.sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov)
        return
    grads = ordered(grads, xs)
    sgd_all(xs.ids, ids(grads), xs.ids if velocities is None else velocities.ids, xs.starts, xs.like, lr, momentum,
            weight_decay, nesterov)


@kernel
def sgd_all(thread, threads, xs, grads, velocities, starts, like, lr, momentum, weight_decay, nesterov):
    """Each thread its share."""
    for i in range(len(xs)):
        first, last = share_of_array(thread, threads, starts, i)
        if first < last:
            x, grad = part(xs[i], first, last, like), part(grads[i], first, last, like)
            if momentum == 0:
                sgd_plain(x, grad, lr, weight_decay)
            else:
                sgd_moving(x, grad, part(velocities[i], first, last, like), lr, momentum, weight_decay, nesterov)


@inner
def sgd_plain(x, grad, lr, weight_decay):
    """Without momentum."""
    lr, weight_decay = x.dtype.type(lr), x.dtype.type(weight_decay)
    for j in range(len(x)):
        x[j] -= (grad[j] + weight_decay * x[j]) * lr


@inner
def sgd_moving(x, grad, velocity, lr, momentum, weight_decay, nesterov):
    """With momentum."""
    lr, momentum, weight_decay = x.dtype.type(lr), x.dtype.type(momentum), x.dtype.type(weight_decay)
    for j in range(len(x)):
        g = grad[j] + weight_decay * x[j]
        v = momentum * velocity[j] + g
        velocity[j] = v
        x[j] -= (g + momentum * v if nesterov else v) * lr


def adam(xs, grads, means, squares, steps, lr, betas, eps, weight_decay, decoupled):
    """m <- b1 * m + (1 - b1) * g,  v <- b2 * v + (1 - b2) * g**2,  x <- x - lr * mhat / (sqrt(vhat) + eps).

    mhat = m / (1 - b1**steps),  vhat = v / (1 - b2**steps). Weight decay adds weight_decay * x to the gradient or,
    decoupled, multiplies x by 1 - lr * weight_decay before all else. xs, means, squares are Arrays.
    """
    if not direct(xs, means, squares):
        plain.adam(xs, grads, means, squares, steps, lr, betas, eps, weight_decay, decoupled)
        return
    beta1, beta2 = betas
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    grads = ordered(grads, xs)
    adam_all(xs.ids, ids(grads), means.ids, squares.ids, xs.starts, xs.like, lr / (1 - beta1**steps), beta1, beta2,
             1 / math.sqrt(1 - beta2**steps), eps, decay, shrink)


@kernel
def adam_all(thread, threads, xs, grads, means, squares, starts, like, lr, beta1, beta2, scale, eps, decay, shrink):
    """Each thread its share."""
    for i in range(len(xs)):
        first, last = share_of_array(thread, threads, starts, i)
        if first < last:
            adam_part(part(xs[i], first, last, like), part(grads[i], first, last, like),
                      part(means[i], first, last, like), part(squares[i], first, last, like),
                      lr, beta1, beta2, scale, eps, decay, shrink)


@inner
def adam_part(x, grad, mean, square, lr, beta1, beta2, scale, eps, decay, shrink):
    """x <- shrink * x - lr * m / (scale * sqrt(v) + eps)"""
    real = x.dtype.type
    lr, scale, eps, decay, shrink = real(lr), real(scale), real(eps), real(decay), real(shrink)
    beta1, rest1, beta2, rest2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    for j in range(len(x)):
        g = grad[j] + decay * x[j]
        m = beta1 * mean[j] + rest1 * g
        v = beta2 * square[j] + rest2 * (g * g)
        mean[j] = m
        square[j] = v
        x[j] = shrink * x[j] - m / (scale * math.sqrt(v) + eps) * lr


def rmsprop(xs, grads, squares, velocities, means, lr, alpha, eps, weight_decay, momentum):
    """s <- alpha * s + (1 - alpha) * g**2,  v <- momentum * v + g / (sqrt(s - m**2) + eps),  x <- x - lr * v.

    With g = grad + weight_decay * x and m <- alpha * m + (1 - alpha) * g. xs, squares, velocities, means are Arrays;
    velocities is None if momentum is 0, and means is None where m is to be 0.
    """
    if not direct(xs, squares, velocities, means):
        plain.rmsprop(xs, grads, squares, velocities, means, lr, alpha, eps, weight_decay, momentum)
        return
    grads = ordered(grads, xs)
    rmsprop_all(xs.ids, ids(grads), squares.ids, (velocities or squares).ids, (means or squares).ids, xs.starts,
                xs.like, lr, alpha, eps, weight_decay, momentum, velocities is not None, means is not None)


@kernel
def rmsprop_all(thread, threads, xs, grads, squares, velocities, means, starts, like, lr, alpha, eps, weight_decay,
                momentum, moving, centered):
    """Each thread its share; where there are no velocities or means, their ids are not looked at."""
    for i in range(len(xs)):
        first, last = share_of_array(thread, threads, starts, i)
        if first < last:
            x, grad = part(xs[i], first, last, like), part(grads[i], first, last, like)
            square, no_array = part(squares[i], first, last, like), part(squares[i], first, first, like)
            rmsprop_part(x, grad, square, part(velocities[i], first, last, like) if moving else no_array,
                         part(means[i], first, last, like) if centered else no_array,
                         lr, alpha, eps, weight_decay, momentum)


@inner
def rmsprop_part(x, grad, square, velocity, mean, lr, alpha, eps, weight_decay, momentum):
    """Velocity and mean may be empty, and are then left out."""
    real = x.dtype.type
    rest, zero = real(1 - alpha), real(0)
    lr, alpha, eps, weight_decay, momentum = real(lr), real(alpha), real(eps), real(weight_decay), real(momentum)
    moving, centered = len(velocity) > 0, len(mean) > 0
    for j in range(len(x)):
        g = grad[j] + weight_decay * x[j]
        s = alpha * square[j] + rest * (g * g)
        square[j] = s
        if centered:
            m = alpha * mean[j] + rest * g
            mean[j] = m
            s = max(s - m * m, zero)
        step = g / (math.sqrt(s) + eps)
        if moving:
            step += momentum * velocity[j]
            velocity[j] = step
        x[j] -= step * lr


def lerp(xs, targets, weight):
    """x <- x + weight * (target - x): the part `weight` of the way to the targets. xs, targets are Arrays."""
    if not direct(xs):
        plain.lerp(xs, targets, weight)
        return
    targets = ordered(targets, xs)
    lerp_all(xs.ids, ids(targets), xs.starts, xs.like, weight)


@kernel
def lerp_all(thread, threads, xs, targets, starts, like, weight):
    """Each thread its share."""
    for i in range(len(xs)):
        first, last = share_of_array(thread, threads, starts, i)
        if first < last:
            lerp_part(part(xs[i], first, last, like), part(targets[i], first, last, like), weight)


@inner
def lerp_part(x, target, weight):
    """x <- x + weight * (target - x)"""
    weight = x.dtype.type(weight)
    for j in range(len(x)):
        x[j] += (target[j] - x[j]) * weight


# Where things lie

def direct(xs, *slots):
    """Whether one index leads through x and all that is kept beside it."""
    return xs.dense and all(slot is None or (slot.dense and slot.order == xs.order) for slot in slots)


def ordered(arrays, xs):
    """The arrays, each of the shape, dtype and order of memory of its x; those that were not so are copied."""
    dtype = xs.like.dtype
    return [array if type(array) is np.ndarray and array.dtype is dtype and array.strides == x.strides
            and array.shape == x.shape else like(x, array) for array, x in zip(arrays, xs, strict=True)]


def like(x, array):
    """A copy of `array` that lies in memory as x does."""
    copy = np.empty_like(x)
    copy[...] = array
    return copy


def ids(arrays):
    """The id of each array, int64."""
    return np.fromiter(map(id, arrays), np.int64, len(arrays))


@inner
def share_of_array(thread, threads, starts, i):
    """First and last element (not included) of array i that a thread is to do, all arrays being dealt out evenly."""
    total = starts[-1]
    first, last = thread * total // threads, (thread + 1) * total // threads
    return max(first, starts[i]) - starts[i], min(last, starts[i + 1]) - starts[i]


@inner
def part(identity, first, last, like):
    """The elements from `first` up to `last`, in order of memory, of the array with that id."""
    data = carray(pointer(identity + HEAD), (1,), np.int64)[0]
    return carray(pointer(data + first * like.itemsize), (last - first,), like.dtype)


@intrinsic
def pointer(typingctx, address):
    """An address as a pointer."""
    def generate(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))
    return types.voidptr(types.int64), generate
