"""Softmax and log-softmax along an axis, as array code."""

from minidl.device import array_module

__all__ = ["log_softmax", "log_softmax_gradient", "softmax", "softmax_gradient"]


def softmax(x, axis):
    """exp(x) / sum(exp(x)) along `axis`."""
    out = array_module(x).exp(x - x.max(axis, keepdims=True))
    out /= out.sum(axis, keepdims=True)
    return out


def softmax_gradient(grad, out, axis):
    """out * (grad - sum(grad * out)), the sum along `axis`."""
    return out * (grad - (grad * out).sum(axis, keepdims=True))


def log_softmax(x, axis):
    """log(softmax(x)) along `axis`: x - logsumexp(x), which is exact even where softmax rounds to 0."""
    xp, shifted = array_module(x), x - x.max(axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis, keepdims=True))


def log_softmax_gradient(grad, out, axis):
    """grad - exp(out) * sum(grad), the sum along `axis`."""
    return grad - array_module(out).exp(out) * grad.sum(axis, keepdims=True)
