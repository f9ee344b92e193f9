"""The update steps of the optimizers, as array code.

The i-th arrays of all arguments belong to the same parameter. These are the only kernels that write into their
arguments: into the parameters and the optimizer's state; into gradients, `unscale` alone. `minidl/optim` explains the
formulas and cites their sources.
"""

from contextlib import contextmanager

import numpy as np

from minidl.device import array_module

__all__ = ["adagrad", "adam", "lerp", "nadam", "rmsprop", "sgd", "unscale"]


def sgd(xs, grads, velocities, lr, momentum, weight_decay, nesterov):
    """v <- momentum * v + g,  x <- x - lr * v  with g = grad + weight_decay * x;  nesterov: lr * (g + momentum * v).

    xs and velocities are Arrays; with momentum 0, velocities is None and v = g.
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


def adam(xs, grads, first_moments, second_moments, steps, lr, betas, eps, weight_decay, decoupled):
    """m <- b1 * m + (1 - b1) * g,  v <- b2 * v + (1 - b2) * g**2,  x <- x - lr * mhat / (sqrt(vhat) + eps).

    mhat = m / (1 - b1**steps),  vhat = v / (1 - b2**steps). Weight decay adds weight_decay * x to the gradient; if
    `decoupled` (AdamW), x is multiplied by 1 - lr * weight_decay first instead. xs and both moments are Arrays.
    """
    for x, grad, m, v in zip(xs, grads, first_moments, second_moments, strict=True):
        if decoupled:
            x *= 1 - lr * weight_decay
        elif weight_decay:
            grad = grad + x * weight_decay
        root = moved_moments(grad, m, v, steps, betas, eps)
        x -= m / root * (lr / (1 - betas[0]**steps))


def nadam(xs, grads, first_moments, second_moments, steps, grad_step, mean_step, betas, eps, weight_decay, shrinkage):
    """m and v as in `adam`,  x <- x - (grad_step * g + mean_step * m) / (sqrt(vhat) + eps).

    vhat = v / (1 - b2**steps). Weight decay adds weight_decay * x to the gradient; if there is a `shrinkage`, which may
    be None, x is multiplied by 1 - shrinkage first instead. xs and both moments are Arrays.
    """
    for x, grad, m, v in zip(xs, grads, first_moments, second_moments, strict=True):
        if shrinkage is not None:
            x *= 1 - shrinkage
        elif weight_decay:
            grad = grad + x * weight_decay
        root = moved_moments(grad, m, v, steps, betas, eps)
        x -= (grad * grad_step + m * mean_step) / root


def moved_moments(grad, m, v, steps, betas, eps):
    """Move m and v by a gradient, as `adam` says; returns sqrt(vhat) + eps."""
    beta1, beta2 = betas
    m *= beta1
    m += grad * (1 - beta1)
    v *= beta2
    v += grad * grad * (1 - beta2)
    root = array_module(v).sqrt(v)
    root *= 1 / (1 - beta2**steps) ** 0.5
    root += eps
    return root


def adagrad(xs, grads, sums, lr, eps, weight_decay, initial):
    """s <- s + g**2,  x <- x - lr * g / (sqrt(initial + s) + eps)  with g = grad + weight_decay * x.

    xs and sums (s) are Arrays.
    """
    for x, grad, s in zip(xs, grads, sums, strict=True):
        if weight_decay:
            grad = grad + x * weight_decay
        s += grad * grad
        x -= grad / (array_module(x).sqrt(s + initial) + eps) * lr


def rmsprop(xs, grads, second_moments, velocities, first_moments, lr, alpha, eps, weight_decay, momentum):
    """s <- alpha * s + (1 - alpha) * g**2,  v <- momentum * v + g / (sqrt(s - m**2) + eps),  x <- x - lr * v.

    g = grad + weight_decay * x,  m <- alpha * m + (1 - alpha) * g. xs, second_moments (s), velocities (v) and
    first_moments (m) are Arrays. With momentum 0, velocities is None; if first_moments is None, m = 0 (not centered).
    """
    for i, (x, grad, s) in enumerate(zip(xs, grads, second_moments, strict=True)):
        if weight_decay:
            grad = grad + x * weight_decay
        s *= alpha
        s += grad * grad * (1 - alpha)
        variance = s
        if first_moments is not None:
            m = first_moments[i]
            m *= alpha
            m += grad * (1 - alpha)
            variance = array_module(x).maximum(s - m * m, 0)                 # rounding can make it negative
        step = grad / (array_module(x).sqrt(variance) + eps)
        if velocities is not None:
            velocity = velocities[i]
            velocity *= momentum
            velocity += step
            step = velocity
        x -= step * lr


def lerp(xs, targets, weight):
    """x <- x + weight * (target - x): linear interpolation from xs to targets. Both are Arrays."""
    for x, target in zip(xs, targets, strict=True):
        x += (target - x) * weight


def clip(grads, most, eps):
    """([g * min(1, most / (|all| + eps)) for each g], |all|), the norm of all as one vector: float64 ().

    As they are, but copied, where the norm is not finite.
    """
    xp = array_module(*grads)
    norm = xp.sqrt(sum(xp.square(g, dtype=xp.float64).sum() for g in grads))         # 1e20 squared overflows float32
    factor = xp.where(xp.isfinite(norm), xp.minimum(most / (norm + eps), 1), 1)
    return [g * factor.astype(g.dtype) for g in grads], norm


def unscale(grads, scale, found):
    """g <- g / scale for all gradients, Arrays; `found`, float32 (), becomes 1 if a result is not finite."""
    xp, inverse = array_module(scale), (1 / scale.astype(np.float64)).astype(np.float32)
    for grad in grads:
        grad *= inverse.astype(grad.dtype)
        xp.maximum(found, (~xp.isfinite(grad)).any().astype(np.float32), out=found)


@contextmanager
def kept_unless(xs, *slots):
    """A context after which the arrays are as they were, if the flag `xs.unless` is not 0: for array code, and slow."""
    if xs.unless is None:
        yield
        return
    arrays = [x for part in (xs, *slots) if part is not None for x in part]
    before = [x.copy() for x in arrays]
    yield
    for x, old in zip(arrays, before, strict=True):
        x[...] = array_module(x).where(xs.unless != 0, old, x)
