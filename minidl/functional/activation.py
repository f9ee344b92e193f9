"""Activations: the bends between the layers.

Each is one function of one number, but for softmax, which looks along an axis. How they and their slopes are computed
is told in `kernels/activation.py` and `kernels/softmax.py`; here stands what they are, and what their gradient needs to
know.
"""

import math
from numbers import Real

from minidl.functional.reduction import axes_of
from minidl.kernels import backend
from minidl.tensor import op


@op
def relu(x, /, *, ceiling=None):
    """max(x, 0), elementwise; no more than `ceiling` if one is given, which PyTorch's function has not."""
    ceiling = above_zero("relu", ceiling)
    out = backend(x).relu(x, ceiling)

    def backward(grad):
        # names `out`, which the next layer keeps: x can be freed
        return backend(out).relu_gradient(grad, out, ceiling)
    return out, backward


@op
def relu6(x, /):
    """min(max(x, 0), 6), elementwise.   Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010."""
    out = backend(x).relu(x, 6.0)

    def backward(grad):
        return backend(out).relu_gradient(grad, out, 6.0)
    return out, backward


@op
def leaky_relu(x, /, *, negative_slope=0.01):
    """x where x > 0, else negative_slope * x."""
    return of_input("leaky_relu", x, finite("leaky_relu", "negative_slope", negative_slope))


@op
def elu(x, /, *, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1).   Clevert et al., "Exponential linear units", ICLR 2016."""
    return of_input("elu", x, finite("elu", "alpha", alpha))


@op
def gelu(x, /, *, approximate="none"):
    """x * Phi(x), where Phi(x) is the probability that a standard normal variable is below x.

    approximate="tanh":  x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, which is near it and cheaper
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate={approximate!r} is neither 'none' nor 'tanh'")
    return of_input("gelu" if approximate == "none" else "gelu_tanh", x)


@op
def silu(x, /):
    """x * sigmoid(x), elementwise; also named swish.   Elfwing et al., Neural Networks 107 (2018)."""
    return of_input("silu", x)


@op
def hardswish(x, /):
    """x * relu6(x + 3) / 6, elementwise: a silu of straight lines.   Howard et al., "MobileNetV3", ICCV 2019."""
    return of_input("hardswish", x)


@op
def softplus(x, /, *, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta, elementwise: a smooth relu; x itself where beta * x > threshold."""
    beta, threshold = finite("softplus", "beta", beta), finite("softplus", "threshold", threshold)
    if beta == 0:
        raise ValueError("softplus: beta=0 leaves nothing to divide by")
    return of_input("softplus", x, beta, threshold)


def of_input(name, x, *settings):
    """An activation and its backward, which finds the slope from the input."""
    def backward(grad):
        return backend(x).activation_gradient(name, grad, x, *settings)
    return backend(x).activation(name, x, *settings), backward


@op
def sigmoid(x, /):
    """1 / (1 + exp(-x)), elementwise."""
    return of_output("sigmoid", x)


@op
def tanh(x, /):
    """The hyperbolic tangent, elementwise."""
    return of_output("tanh", x)


def of_output(name, x):
    """An activation and its backward, which finds the slope from the output; x can be freed."""
    out = backend(x).activation(name, x)

    def backward(grad):
        return backend(out).activation_gradient(name, grad, out)
    return out, backward


@op
def softmax(x, /, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`: positive numbers that sum to 1."""
    axis, = axes_of(x, axis, "softmax")
    out = backend(x).softmax(x, axis)

    def backward(grad):
        return backend(out).softmax_gradient(grad, out, axis)
    return out, backward


@op
def log_softmax(x, /, axis=-1):
    """log(softmax(x)) along `axis`: x - logsumexp(x), exact where softmax would round to 0."""
    axis, = axes_of(x, axis, "log_softmax")
    out = backend(x).log_softmax(x, axis)

    def backward(grad):
        return backend(out).log_softmax_gradient(grad, out, axis)
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
