"""Activations: the bends between the layers."""

from minidl.device import array_module, generator
from minidl.functional.reduction import axes_of
from minidl.kernels import kernels_for
from minidl.tensor import op


@op
def relu(x, /):
    """max(x, 0), elementwise."""
    out = kernels_for(x).relu(x)

    def backward(grad):
        return kernels_for(out).relu_gradient(grad, out)     # names `out`, which the next layer keeps: x can be freed
    return out, backward


@op
def leaky_relu(x, /, *, negative_slope=0.01):
    """x where x > 0, else negative_slope * x."""
    xp, slope = array_module(x), float(negative_slope)

    def backward(grad):
        return xp.where(x > 0, grad, grad * slope)
    return xp.where(x > 0, x, x * slope), backward


@op
def sigmoid(x, /):
    """1 / (1 + exp(-x)), elementwise."""
    out = logistic(x)

    def backward(grad):
        return grad * out * (1 - out)
    return out, backward


def logistic(x):
    """1 / (1 + exp(-x)) of an array; exp(-|x|) cannot overflow, and loses no digits on either side."""
    xp = array_module(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (1 + small)


@op
def tanh(x, /):
    """The hyperbolic tangent, elementwise."""
    out = array_module(x).tanh(x)

    def backward(grad):
        return grad * (1 - out * out)
    return out, backward


@op
def softmax(x, /, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`: positive numbers that sum to 1."""
    xp, (axis,) = array_module(x), axes_of(x, axis, "softmax")
    out = xp.exp(x - x.max(axis, keepdims=True))
    out /= out.sum(axis, keepdims=True)

    def backward(grad):
        return out * (grad - (grad * out).sum(axis, keepdims=True))
    return out, backward


@op
def log_softmax(x, /, axis=-1):
    """log(softmax(x)) along `axis`: x - logsumexp(x), exact where softmax would round to 0."""
    xp, (axis,) = array_module(x), axes_of(x, axis, "log_softmax")
    shifted = x - x.max(axis, keepdims=True)
    out = shifted - xp.log(xp.exp(shifted).sum(axis, keepdims=True))

    def backward(grad):
        return grad - xp.exp(out) * grad.sum(axis, keepdims=True)
    return out, backward


@op
def dropout(x, /, p=0.5, training=True):
    """In training each element becomes 0 with probability p, else x / (1 - p); otherwise x itself.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p={p} is not a probability from 0 up to, but not, 1")
    if not training or p == 0:
        return x, lambda grad: grad
    xp = array_module(x)
    kept = generator(xp).random(x.shape, dtype=xp.float32) >= p
    scale = 1 / (1 - float(p))

    def backward(grad):
        return grad * kept * scale
    return x * kept * scale, backward
