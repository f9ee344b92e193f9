"""Solutions of chapter 5."""

import numpy as np

from minidl.tensor import op


@op
def fair_max_pool(x, /):
    """The largest element of each 2 x 2 window, whose gradient is divided equally among those that share the maximum.

    (N, C, H, W)  ->  (N, C, H/2, W/2)
    """
    n, c, h, w = x.shape
    windows = x.reshape(n, c, h // 2, 2, w // 2, 2)              # axes 3 and 5 are a window
    out = windows.max((3, 5), keepdims=True)
    winners = windows == out
    shares = winners / winners.sum((3, 5), keepdims=True)

    def backward(grad):
        return (shares * grad[:, :, :, None, :, None]).reshape(n, c, h, w).astype(grad.dtype)
    return out[:, :, :, 0, :, 0], backward


@op
def smoothed_cross_entropy(logits, target, /, *, smoothing):
    """The mean of -sum over c of q[c] * log p[c], with p = softmax(logits).

    With L = -sum q[c] * z[c] + log(sum exp(z[c])), because the q[c] sum to 1:  dL/dz = p - q.
    """
    n, classes = logits.shape
    q = np.full_like(logits, smoothing / classes)
    q[np.arange(n), target] += 1 - smoothing
    shifted = logits - logits.max(1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))

    def backward(grad):
        return grad * (np.exp(logp) - q) / n, None
    return -(q * logp).sum(1).mean(), backward


@op
def layer_norm(x, weight, bias, /, *, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axis.

    The gradient at xhat is h = grad * weight. It stays within the means, since the weight differs between elements:
    dx = r * (h - mean(h) - xhat * mean(h * xhat)),  r = 1 / sqrt(var + eps).
    """
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    xhat = (x - x.mean(-1, keepdims=True)) * r

    def backward(grad):
        h = grad * weight
        dx = r * (h - h.mean(-1, keepdims=True) - xhat * (h * xhat).mean(-1, keepdims=True))
        return dx, (grad * xhat).sum(0), grad.sum(0)
    return xhat * weight + bias, backward
