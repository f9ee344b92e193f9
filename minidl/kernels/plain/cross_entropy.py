"""Softmax and cross entropy together, as array code."""

import math

from minidl.device import array_module
from minidl.kernels.plain.reduction import axis_sums

__all__ = ["cross_entropy"]


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    """-(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c] for each target t, with p = softmax(logits).

    logits (N, C, ...), target (N, ...) of classes or ignore_index, weight w (C,), smoothing s
    ->  losses (N, ...), total = the sum of w[t], gradient (N, C, ...) of sum(losses); if `mean`, of sum(losses) / total
    Targets equal to ignore_index, and weights of 0, add nothing to losses, total and gradient, whatever the logits are.
    If all targets are ignored, the gradient is 0.
    """
    xp, (n, c), length = array_module(logits), logits.shape[:2], math.prod(logits.shape[2:])
    z, t = logits.reshape(n, c, length), target.reshape(n, length)
    counted = t != ignore_index
    t = xp.where(counted, t, 0)
    at_target = xp.arange(n)[:, None], t, xp.arange(length)              # the index of the targets in (N, C, length)
    target_weight = xp.where(counted, weight[t], 0)                      # w[t], 0 where ignored
    hard_weight = target_weight * (1 - smoothing)
    shares = (weight * (smoothing / c) if smoothing else xp.zeros_like(weight))[:, None]                  # (C, 1)
    has_weight = counted & ((hard_weight != 0) | (smoothing > 0))
    z = xp.where(has_weight[:, None], z, 0)
    shifted = z - z.max(1, keepdims=True)
    p = xp.exp(shifted)
    sums = axis_sums(p, (1,)).astype(p.dtype)
    logp = shifted - xp.log(sums)
    total = axis_sums(target_weight, (0, 1))[0, 0]
    smooth = axis_sums(shares * xp.where(shares != 0, logp, 0), (1,))[:, 0]
    losses = -hard_weight * xp.where(hard_weight != 0, logp[at_target], 0) - xp.where(counted, smooth, 0)
    p_factor = (hard_weight + xp.where(counted, shares.sum(), 0))[:, None]
    gradient = p / sums * p_factor - xp.where(counted[:, None], shares, 0)
    gradient[at_target] -= hard_weight
    if mean:
        gradient = gradient / xp.where(total == 0, 1, total)
    losses, gradient = losses.astype(logits.dtype), gradient.astype(logits.dtype)
    return losses.reshape(target.shape), total, gradient.reshape(logits.shape)
