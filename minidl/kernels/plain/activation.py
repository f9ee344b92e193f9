"""Activations and their gradients, as array code.

Formulas in which e**x could overflow use e**-|x| instead. Pieces of a function are chosen by `where`, not by a product
with 0 or 1, which would make infinity NaN.

GELU needs the normal distribution, and neither NumPy nor CuPy has the error function. For z >= 0, a standard normal
variable exceeds z with probability exp(-z**2 / 2) * P(s), where s = 9 / (z + 4.5) - 1 falls from 1 to -1 and P is
smooth. Here P is approximated by the polynomial that interpolates it at the Chebyshev nodes. (The form is that of
Shepherd and Laframboise, Mathematics of Computation 36 (1981).)
"""

import math

from minidl.device import array_module

__all__ = ["activation", "activation_gradient", "relu", "relu_gradient"]

# P's coefficients, lowest power first. These give the probability to 1e-7, the precision of float32 ...
SINGLE = (
    0.08480341518119153, 0.1559431634626806, 0.12074443260629793, 0.07773168844190834, 0.04051194450656346,
    0.016147544551313956, 0.00420690025110533, 0.0002512497450304876, -0.0002667153900581353, -7.36640879320873e-05,
)  # fmt: skip
# ... and these to 2e-15.
DOUBLE = (
    0.08480339210780061, 0.1559431432469836, 0.12074558636754523, 0.07773270188929231, 0.04050271072602256,
    0.016139324759319777, 0.004232771042265473, 0.0002749757499165693, -0.00029628620168000987, -0.00010268009110264752,
    1.1739591821742174e-05, 1.4216688657527131e-05, 1.9008877642319734e-07, -1.9296832789485613e-06,
    -1.1892686885330852e-07, 2.84215891388671e-07, 1.6267519248696814e-08, -4.0570173136673555e-08,
    -1.0632022023422348e-09, 3.794495067924133e-09,
)  # fmt: skip
ROOT, CUBIC = math.sqrt(2 / math.pi), 0.044715


def activation(name, x, *settings):
    """The activation called `name`, elementwise; its settings in the order of the function in `minidl.functional`."""
    return ACTIVATIONS[name][0](x, *settings)


def activation_gradient(name, grad, kept, *settings):
    """grad times the derivative of that activation. `kept` is its output for sigmoid and tanh, else its input."""
    return ACTIVATIONS[name][1](grad, kept, *settings)


def relu(x, ceiling=None):
    """max(x, 0), or min(max(x, 0), ceiling), elementwise; NaN stays NaN."""
    xp = array_module(x)
    out = xp.maximum(x, 0)
    return out if ceiling is None else xp.minimum(out, ceiling)


def relu_gradient(grad, out, ceiling=None):
    """grad where out is not 0 or, with a ceiling, where 0 < out < ceiling; 0 elsewhere."""
    xp = array_module(grad)
    return xp.where(out <= 0, 0, grad) if ceiling is None else xp.where((out > 0) & (out < ceiling), grad, 0)


def leaky_relu(x, slope):
    xp = array_module(x)
    return xp.where(x > 0, x, xp.minimum(x, 0) * slope)


def leaky_relu_gradient(grad, x, slope):
    return array_module(x).where(x > 0, grad, grad * slope)


def elu(x, alpha):
    xp = array_module(x)
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)) * alpha)


def elu_gradient(grad, x, alpha):
    xp = array_module(x)
    return xp.where(x > 0, grad, grad * xp.exp(xp.minimum(x, 0)) * alpha)


def sigmoid(x):
    xp = array_module(x)
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


def sigmoid_gradient(grad, out):
    return grad * out * (1 - out)


def silu(x):
    return x * sigmoid(x)


def silu_gradient(grad, x):
    p = sigmoid(x)
    return grad * p * (1 + x * (1 - p))


def hardswish(x):
    return x * (array_module(x).clip(x + 3, 0, 6) * (1 / 6))


def hardswish_gradient(grad, x):
    xp = array_module(x)
    return xp.where(x <= -3, 0, xp.where(x >= 3, grad, grad * (x * (1 / 3) + 0.5)))


def softplus(x, beta, threshold):
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which cannot overflow."""
    xp, z = array_module(x), x * beta
    return xp.where(z > threshold, z, xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / beta


def softplus_gradient(grad, x, beta, threshold):
    z = x * beta
    return array_module(x).where(z > threshold, grad, grad * sigmoid(z))


def tanh(x):
    return array_module(x).tanh(x)


def tanh_gradient(grad, out):
    return grad * (1 - out * out)


def gelu(x):
    return x * normal_cdf(x)


def gelu_gradient(grad, x):
    density = array_module(x).exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return grad * (normal_cdf(x) + x * density)


def gelu_tanh(x):
    return x * tanh_cdf(x)


def gelu_tanh_gradient(grad, x):
    p = tanh_cdf(x)
    return grad * (p + x * p * (1 - p) * (2 * ROOT + 6 * ROOT * CUBIC * x * x))


def tanh_cdf(x):
    """The approximation of Phi(x) by  (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2."""
    return 0.5 * array_module(x).tanh(x * (ROOT + ROOT * CUBIC * x * x)) + 0.5


def normal_cdf(x):
    """Phi(x), elementwise: the probability that a standard normal variable is below x."""
    xp = array_module(x)
    z = xp.abs(x)
    s = 9 / (z + 4.5) - 1
    *lower, highest = SINGLE if x.dtype == "float32" else DOUBLE
    above = xp.full_like(x, highest)
    for coefficient in reversed(lower):
        above *= s
        above += coefficient
    above *= xp.exp(-0.5 * z * z)
    return xp.abs((x > 0) - above)                                       # 1 - above where x > 0, else above


ACTIVATIONS = {
    "elu": (elu, elu_gradient),
    "gelu": (gelu, gelu_gradient),
    "gelu_tanh": (gelu_tanh, gelu_tanh_gradient),
    "hardswish": (hardswish, hardswish_gradient),
    "leaky_relu": (leaky_relu, leaky_relu_gradient),
    "sigmoid": (sigmoid, sigmoid_gradient),
    "silu": (silu, silu_gradient),
    "softplus": (softplus, softplus_gradient),
    "tanh": (tanh, tanh_gradient),
}
