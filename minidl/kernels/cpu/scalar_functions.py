"""Activations as functions of one element, each with its gradient: `activation.py` runs them over whole arrays.

A gradient is the incoming gradient times the derivative, which is written as a function of the input x or, where that
is shorter, of the output. Constants that float32 holds exactly are float32 scalars, so that float32 stays float32:
Python's 1 would promote it to float64. Constants that float32 must round are rounded to the type of x. At infinities
the formulas agree with PyTorch; NaN stays NaN.
"""

import math

import numpy as np

from minidl.kernels.cpu.llvm.vector_math import exp, expm1, log1p, normal_cdf
from minidl.kernels.cpu.llvm.vector_math import tanh as hyperbolic_tangent
from minidl.kernels.cpu.runtime.compile import inner

ZERO, HALF, ONE, TWO, THREE, SIX = np.float32([0, 0.5, 1, 2, 3, 6])
ROOT, CUBIC = math.sqrt(2 / math.pi), 0.044715


@inner
def relu(x):
    return ZERO if x < ZERO else x                       # NaN is not below 0


@inner
def relu_gradient(grad, out):
    return ZERO if out <= ZERO else grad                 # NaN lets it pass, as in PyTorch


@inner
def capped_relu(x, ceiling):
    above = relu(x)
    return ceiling if above > ceiling else above


@inner
def capped_relu_gradient(grad, out, ceiling):
    return grad if (out > ZERO) & (out < ceiling) else ZERO


@inner
def leaky_relu(x, slope):
    return x if x > ZERO else x * slope


@inner
def leaky_relu_gradient(grad, x, slope):
    return grad if x > ZERO else grad * slope


@inner
def elu(x, alpha):
    return x if x > ZERO else expm1(x) * alpha


@inner
def elu_gradient(grad, x, alpha):
    return grad if x > ZERO else grad * exp(x) * alpha


@inner
def sigmoid(x):
    e = exp(-abs(x))                                     # cannot overflow, and loses no digits on either side
    return (ONE if x >= ZERO else e) / (ONE + e)


@inner
def sigmoid_gradient(grad, out):
    return grad * out * (ONE - out)


@inner
def silu(x):
    return x * sigmoid(x)


@inner
def silu_gradient(grad, x):
    p = sigmoid(x)
    return grad * p * (ONE + x * (ONE - p))


@inner
def hardswish(x):
    return x * capped_relu(x + THREE, SIX) / SIX


@inner
def hardswish_gradient(grad, x):
    above = grad if x >= THREE else grad * (x / THREE + HALF)
    return ZERO if x <= -THREE else above


@inner
def softplus(x, beta, threshold):
    z = x * beta
    return x if z > threshold else (relu(z) + log1p(exp(-abs(z)))) / beta


@inner
def softplus_gradient(grad, x, beta, threshold):
    z = x * beta
    return grad if z > threshold else grad * sigmoid(z)


@inner
def tanh(x):
    return hyperbolic_tangent(x)


@inner
def tanh_gradient(grad, out):
    return grad * (ONE - out * out)


@inner
def gelu(x):
    return x * normal_cdf(x)


@inner
def gelu_gradient(grad, x):
    density = exp(-HALF * (x * x)) * type(x)(1 / math.sqrt(2 * math.pi))
    return grad * (normal_cdf(x) + x * density)


@inner
def gelu_tanh(x):
    """(1 + tanh(u)) / 2 = sigmoid(2 * u)"""
    real = type(x)
    return x * sigmoid(x * (real(2 * ROOT) + real(2 * ROOT * CUBIC) * x * x))


@inner
def gelu_tanh_gradient(grad, x):
    real = type(x)
    square = x * x
    p = sigmoid(x * (real(2 * ROOT) + real(2 * ROOT * CUBIC) * square))
    return grad * p * (ONE + x * (ONE - p) * (real(2 * ROOT) + real(6 * ROOT * CUBIC) * square))


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
