"""Softmax and cross entropy together, as array code."""

import math

from minidl.device import array_module

__all__ = ["cross_entropy"]


def cross_entropy(logits, target, weight, ignore_index, smoothing, mean):
    """-(1 - s) * w[t] * log p[t] - s / C * sum over c of w[c] * log p[c] for each target t, with p = softmax(logits).

    logits (N, C, ...), target (N, ...) of classes or ignore_index, weight w (C,), smoothing s
    ->  losses (N, ...), total = the sum of w[t], gradient (N, C, ...) of sum(losses); if `mean`, of sum(losses) / total
    Targets equal to ignore_index add nothing to losses, total and gradient. If all are ignored, the gradient is 0.
    """
    xp, (n, c), length = array_module(logits), logits.shape[:2], math.prod(logits.shape[2:])
    z, t = logits.reshape(n, c, length), target.reshape(n, length)
    counted = t != ignore_index
    t = xp.where(counted, t, 0)
    at_target = xp.arange(n)[:, None], t, xp.arange(length)              # the index of the targets in (N, C, length)
    shifted = z - z.max(1, keepdims=True)
    p = xp.exp(shifted)
    sums = p.sum(1, keepdims=True)
    logp = shifted - xp.log(sums)
    target_weight = weight[t] * counted                                  # w[t], 0 where ignored
    total = target_weight.sum()
    smoothing_share = weight[:, None] * (smoothing / c)                  # (C, 1)
    losses = -target_weight * logp[at_target] * (1 - smoothing)
    if smoothing:
        losses = losses - (smoothing_share * logp).sum(1) * counted
    p_factor = target_weight * (1 - smoothing) + counted * smoothing_share.sum()
    gradient = p / sums * p_factor[:, None] - counted[:, None] * smoothing_share
    gradient[at_target] -= target_weight * (1 - smoothing)
    if mean:
        gradient = gradient / xp.where(total == 0, 1, total)
    return losses.reshape(target.shape), total, gradient.reshape(logits.shape)
