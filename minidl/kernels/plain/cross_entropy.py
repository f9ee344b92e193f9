"""Softmax and cross entropy together, the plain way."""

import math

from minidl.device import array_module

__all__ = ["cross_entropy"]


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    """-(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c] for each target t, with p = softmax(logits).

    logits (N, C, ...), target (N, ...) all of them legal, weight (C,), s = smoothing, mean: whether to divide by total
    ->  losses (N, ...), total = the sum of w[t], gradient (N, C, ...) of sum(losses) or of sum(losses) / total
    Targets that are ignore_index count nothing; without any others the gradient is 0.
    """
    xp, (n, c), length = array_module(logits), logits.shape[:2], math.prod(logits.shape[2:])
    z, t = logits.reshape(n, c, length), target.reshape(n, length)
    counted = t != ignore_index
    t = xp.where(counted, t, 0)
    right = xp.arange(n)[:, None], t, xp.arange(length)                  # places of the targets in (N, C, length)
    shifted = z - z.max(1, keepdims=True)
    p = xp.exp(shifted)
    sums = p.sum(1, keepdims=True)
    logp = shifted - xp.log(sums)
    picked = weight[t] * counted                                         # w[t], 0 where ignored
    total = picked.sum()
    even = weight[:, None] * (smoothing / c)                             # (C, 1)
    losses = -picked * logp[right] * (1 - smoothing)
    if smoothing:
        losses = losses - (even * logp).sum(1) * counted
    gradient = p / sums * (picked * (1 - smoothing) + counted * even.sum())[:, None] - counted[:, None] * even
    gradient[right] -= picked * (1 - smoothing)
    if mean:
        gradient = gradient / xp.where(total == 0, 1, total)
    return losses.reshape(target.shape), total, gradient.reshape(logits.shape)
