"""Activations: the bends between the layers.

Each is one function of one number, but for softmax, which looks along an axis. Where e**x could overflow, it is written
with e**-|x| instead; and where two formulas meet in 0, both are computed and added, because NumPy's `where` takes ten
times as long. GELU, which needs the normal distribution, has a file of its own: `gelu.py`.
"""

import math
from numbers import Real

from minidl.device import array_module
from minidl.functional.reduction import axes_of
from minidl.kernels import kernels_for
from minidl.tensor import op


@op
def relu(x, /, *, ceiling=None):
    """max(x, 0), elementwise; no more than `ceiling` if one is given, which PyTorch's function has not."""
    ceiling = above_zero("relu", ceiling)
    out = kernels_for(x).relu(x, ceiling)

    def backward(grad):
        # names `out`, which the next layer keeps: x can be freed
        return kernels_for(out).relu_gradient(grad, out, ceiling)
    return out, backward


@op
def relu6(x, /):
    """min(max(x, 0), 6), elementwise.   Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010."""
    out = kernels_for(x).relu(x, 6.0)

    def backward(grad):
        return kernels_for(out).relu_gradient(grad, out, 6.0)
    return out, backward


@op
def leaky_relu(x, /, *, negative_slope=0.01):
    """x where x > 0, else negative_slope * x."""
    xp, slope = array_module(x), finite("leaky_relu", "negative_slope", negative_slope)

    def backward(grad):
        return grad * (x > 0) + grad * (x <= 0) * slope
    return xp.maximum(x, 0) + xp.minimum(x, 0) * slope, backward


@op
def elu(x, /, *, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1).   Clevert et al., "Exponential linear units", ICLR 2016."""
    xp, alpha = array_module(x), finite("elu", "alpha", alpha)

    def backward(grad):
        return grad * (x > 0) + grad * (x <= 0) * xp.exp(xp.minimum(x, 0)) * alpha
    return xp.maximum(x, 0) + xp.expm1(xp.minimum(x, 0)) * alpha, backward


@op
def silu(x, /):
    """x * sigmoid(x), elementwise; also named swish.   Elfwing et al., Neural Networks 107 (2018)."""
    gate = logistic(x)
    out = x * gate

    def backward(grad):
        return grad * (gate + out * (1 - gate))
    return out, backward


@op
def hardswish(x, /):
    """x * relu6(x + 3) / 6, elementwise: a silu of straight lines.   Howard et al., "MobileNetV3", ICCV 2019."""
    xp = array_module(x)
    gate = xp.clip(x + 3, 0, 6) * (1 / 6)

    def backward(grad):
        return grad * (gate + x * (xp.abs(x) < 3) * (1 / 6))
    return x * gate, backward


@op
def softplus(x, /, *, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta, elementwise: a smooth relu; x itself where beta * x > threshold.

    log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which cannot overflow.
    """
    xp, beta = array_module(x), finite("softplus", "beta", beta)
    threshold = finite("softplus", "threshold", threshold)
    if beta == 0:
        raise ValueError("softplus: beta=0 leaves nothing to divide by")
    z = x * beta
    bent = z <= threshold

    def backward(grad):
        return grad * (logistic(z) * bent + ~bent)
    return xp.where(bent, xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z))), z) / beta, backward


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
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


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


def finite(name, setting, value):
    """A setting as a Python float, which float32 arrays stay float32 with; it must be a finite number."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}: {setting}={value!r} must be a finite number")
    return float(value)


def above_zero(name, ceiling):
    """The ceiling of a ReLU as a Python float, or None if it has none; it must be above 0."""
    if ceiling is not None and finite(name, "ceiling", ceiling) <= 0:
        raise ValueError(f"{name}: ceiling={ceiling!r} must be larger than 0")
    return None if ceiling is None else float(ceiling)
