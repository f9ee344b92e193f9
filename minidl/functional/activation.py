"""Activations: the elementwise nonlinearities between layers, and softmax, which normalizes along an axis.

This file defines them and what their backward keeps; the arithmetic is in `activation.py` and `softmax.py` of a backend
in `kernels/`. Some accept PyTorch's `inplace`, which says that x is not needed afterwards; x stays as it is all the
same, since the tape does not record changes in place.
"""

from typing import Any

from minidl.functional.checks import above_zero, axes_of
from minidl.functional.promotion import floating
from minidl.kernels import backend
from minidl.scalars import number
from minidl.tensor import Operand, op


@op
def relu(x: Operand, /, inplace: bool = False, *, ceiling: float | None = None):
    """max(x, 0), elementwise; min(max(x, 0), ceiling) if a ceiling is given, which PyTorch's function does not have."""
    x = x if ceiling is None else floating(x)
    kernels, ceiling = backend(x), above_zero("relu", ceiling)
    out = kernels.relu(x, ceiling)

    def backward(grad):                          # needs `out`, which the next layer keeps anyway, so x can be freed
        return kernels.relu_gradient(grad, out, ceiling)
    return out, backward


@op
def relu6(x: Operand, /, inplace: bool = False):
    """min(max(x, 0), 6), elementwise.   Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010."""
    x = floating(x)
    kernels = backend(x)
    out = kernels.relu(x, 6.0)

    def backward(grad):
        return kernels.relu_gradient(grad, out, 6.0)
    return out, backward


@op
def leaky_relu(x: Operand, /, negative_slope: float = 0.01, inplace: bool = False):
    """x where x > 0, otherwise negative_slope * x."""
    return from_input("leaky_relu", x, number("leaky_relu", "negative_slope", negative_slope))


@op
def elu(x: Operand, /, alpha: float = 1.0, inplace: bool = False):
    """x where x > 0, otherwise alpha * (exp(x) - 1).   Clevert et al., "Exponential linear units", ICLR 2016."""
    return from_input("elu", x, number("elu", "alpha", alpha))


@op
def gelu(x: Operand, /, approximate: str = "none"):
    """x * Phi(x), elementwise, where Phi is the cumulative distribution function of the standard normal distribution.

    approximate="tanh":  x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, a cheaper approximation
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate={approximate!r} is neither 'none' nor 'tanh'")
    return from_input("gelu" if approximate == "none" else "gelu_tanh", x)


@op
def silu(x: Operand, /, inplace: bool = False):
    """x * sigmoid(x), elementwise; also called swish.   Elfwing et al., Neural Networks 107 (2018)."""
    return from_input("silu", x)


@op
def hardswish(x: Operand, /, inplace: bool = False):
    """x * relu6(x + 3) / 6, elementwise: a cheap approximation of silu.   Howard et al., "MobileNetV3", ICCV 2019."""
    return from_input("hardswish", x)


@op
def softplus(x: Operand, /, beta: float = 1.0, threshold: float = 20.0):
    """log(1 + exp(beta * x)) / beta, elementwise, a smooth ReLU; x itself where beta * x > threshold."""
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    if beta == 0:
        raise ValueError("softplus: beta=0 would divide by zero")
    return from_input("softplus", x, beta, threshold)


def from_input(name: str, x: Any, *settings: float) -> Any:
    """An activation and its backward, which computes the derivative from the input."""
    x = floating(x)
    kernels = backend(x)

    def backward(grad):
        return kernels.activation_gradient(name, grad, x, *settings)
    return kernels.activation(name, x, *settings), backward


@op
def sigmoid(x: Operand, /):
    """1 / (1 + exp(-x)), elementwise."""
    return from_output("sigmoid", x)


@op
def tanh(x: Operand, /):
    """The hyperbolic tangent, elementwise."""
    return from_output("tanh", x)


def from_output(name: str, x: Any) -> Any:
    """An activation and its backward, which computes the derivative from the output, so x can be freed."""
    x = floating(x)
    kernels = backend(x)
    out = kernels.activation(name, x)

    def backward(grad):
        return kernels.activation_gradient(name, grad, out)
    return out, backward


@op
def softmax(x: Operand, /, axis: int = -1):
    """exp(x) / sum(exp(x)) along `axis`: positive values that sum to 1."""
    axis, = axes_of(x, axis, "softmax")
    x = floating(x)
    kernels = backend(x)
    out = kernels.softmax(x, axis)

    def backward(grad):
        return kernels.softmax_gradient(grad, out, axis)
    return out, backward


@op
def log_softmax(x: Operand, /, axis: int = -1):
    """log(softmax(x)) along `axis`, computed as x - logsumexp(x): accurate even where softmax would round to 0."""
    axis, = axes_of(x, axis, "log_softmax")
    x = floating(x)
    kernels = backend(x)
    out = kernels.log_softmax(x, axis)

    def backward(grad):
        return kernels.log_softmax_gradient(grad, out, axis)
    return out, backward
