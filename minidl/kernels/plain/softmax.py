"""Softmax and log-softmax along an axis, as array code."""

from minidl.device import array_module
from minidl.kernels.plain.reduction import axis_sums

__all__ = ["log_softmax", "log_softmax_gradient", "softmax", "softmax_gradient"]


def softmax(x, axis):
    """exp(x) / sum(exp(x)) along `axis`."""
    out = array_module(x).exp(x - x.max(axis, keepdims=True))
    out /= sums(out, axis)
    return out


def softmax_gradient(grad, out, axis):
    """out * (grad - sum(grad * out)), the sum along `axis`."""
    return out * (grad - sums(grad * out, axis))


def log_softmax(x, axis):
    """log(softmax(x)) along `axis`: x - logsumexp(x), which is exact even where softmax rounds to 0."""
    xp, shifted = array_module(x), x - x.max(axis, keepdims=True)
    return shifted - xp.log(sums(xp.exp(shifted), axis))


def log_softmax_gradient(grad, out, axis):
    """grad - exp(out) * sum(grad), the sum along `axis`."""
    return grad - array_module(out).exp(out) * sums(grad, axis)


def sums(x, axis):
    """The sum along `axis`, kept with length 1, in the dtype of x."""
    return axis_sums(x, (axis,)).astype(x.dtype)
