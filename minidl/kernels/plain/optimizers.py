"""How optimizers move weights, the plain way: tuples of arrays, of which the i-th of each belong to one parameter.

These functions write into the parameters and their state, as nothing else in this folder does, and never into a
gradient. What the formulas mean, and where they come from, is told in `minidl/optim`.
"""

import math

from minidl.device import array_module

__all__ = ["adam", "lerp", "rmsprop", "sgd"]


def sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov):
    """v <- momentum * v + g,  x <- x - lr * v  with g = grad + weight_decay * x;  nesterov: lr * (g + momentum * v).

    xs, velocities are Arrays; velocities is None if momentum is 0, and then v = g.
    """
    for i, (x, grad) in enumerate(zip(xs, grads, strict=True)):
        if weight_decay:
            grad = grad + x * weight_decay
        if velocities is None:
            x -= grad * lr
            continue
        velocity = velocities[i]
        velocity *= momentum
        velocity += grad
        x -= (grad + velocity * momentum if nesterov else velocity) * lr


def adam(xs, grads, means, squares, steps, lr, betas, eps, weight_decay, decoupled):
    """m <- b1 * m + (1 - b1) * g,  v <- b2 * v + (1 - b2) * g**2,  x <- x - lr * mhat / (sqrt(vhat) + eps).

    mhat = m / (1 - b1**steps),  vhat = v / (1 - b2**steps). Weight decay adds weight_decay * x to the gradient or,
    decoupled, multiplies x by 1 - lr * weight_decay before all else. xs, means, squares are Arrays.
    """
    beta1, beta2 = betas
    for x, grad, mean, square in zip(xs, grads, means, squares, strict=True):
        if decoupled:
            x *= 1 - lr * weight_decay
        elif weight_decay:
            grad = grad + x * weight_decay
        mean *= beta1
        mean += grad * (1 - beta1)
        square *= beta2
        square += grad * grad * (1 - beta2)
        root = array_module(x).sqrt(square)
        root *= 1 / math.sqrt(1 - beta2**steps)
        root += eps
        x -= mean / root * (lr / (1 - beta1**steps))


def rmsprop(xs, grads, squares, velocities, means, lr, alpha, eps, weight_decay, momentum):
    """s <- alpha * s + (1 - alpha) * g**2,  v <- momentum * v + g / (sqrt(s - m**2) + eps),  x <- x - lr * v.

    With g = grad + weight_decay * x and m <- alpha * m + (1 - alpha) * g. xs, squares, velocities, means are Arrays;
    velocities is None if momentum is 0, and means is None where m is to be 0.
    """
    for i, (x, grad, square) in enumerate(zip(xs, grads, squares, strict=True)):
        if weight_decay:
            grad = grad + x * weight_decay
        square *= alpha
        square += grad * grad * (1 - alpha)
        spread = square
        if means is not None:
            mean = means[i]
            mean *= alpha
            mean += grad * (1 - alpha)
            spread = array_module(x).maximum(square - mean * mean, 0)        # rounding may bring it below
        step = grad / (array_module(x).sqrt(spread) + eps)
        if velocities is not None:
            velocity = velocities[i]
            velocity *= momentum
            velocity += step
            step = velocity
        x -= step * lr


def lerp(xs, targets, weight):
    """x <- x + weight * (target - x): the part `weight` of the way to the targets. xs, targets are Arrays."""
    for x, target in zip(xs, targets, strict=True):
        x += (target - x) * weight
