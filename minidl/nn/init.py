"""First values for weights: random arrays whose spread keeps signals of one size from layer to layer.

Each function takes a shape as PyTorch writes it, (out, in) or (out, in/groups, kh, kw), and returns a new float32 array
drawn from the stream that `manual_seed` starts. So a layer is given other values by
`layer.weight.data[...] = init.kaiming_normal(layer.weight.shape)`.
"""

import math
import threading
from contextlib import contextmanager

import numpy as np

from minidl.device import generator

GAINS = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}


def kaiming_uniform(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform in [-b, b] with b = gain * sqrt(3 / fan): the variance is gain**2 / fan.

    a             the slope of the leaky ReLU behind the layer
    mode          "fan_in" keeps the variance of the signal, "fan_out" that of the gradient
    nonlinearity  see `calculate_gain`
    He et al., "Delving deep into rectifiers", ICCV 2015, section 2.2.
    """
    return uniform(shape, math.sqrt(3) * kaiming_deviation(shape, a, mode, nonlinearity))


def kaiming_normal(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with mean 0 and standard deviation gain / sqrt(fan); settings as in `kaiming_uniform`."""
    return normal(shape, kaiming_deviation(shape, a, mode, nonlinearity))


def xavier_uniform(shape, gain=1.0):
    """Uniform in [-b, b] with b = gain * sqrt(6 / (fan_in + fan_out)).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    equation 16.
    """
    return uniform(shape, gain * math.sqrt(6 / sum(fans(shape))))


def xavier_normal(shape, gain=1.0):
    """Normal with mean 0 and standard deviation gain * sqrt(2 / (fan_in + fan_out)); source as in `xavier_uniform`."""
    return normal(shape, gain * math.sqrt(2 / sum(fans(shape))))


def uniform(shape, bound):
    """Uniform in [-bound, bound]."""
    budget.spend(math.prod(shape))
    return (generator().random(shape, dtype=np.float32) * 2 - 1) * float(bound)


def normal(shape, deviation):
    """Normal with mean 0 and the given standard deviation."""
    budget.spend(math.prod(shape))
    return generator().standard_normal(shape, dtype=np.float32) * float(deviation)


def default_weight(shape):
    """A layer's weight as PyTorch draws it: kaiming_uniform with a = sqrt(5), which is within 1/sqrt(fan_in)."""
    return kaiming_uniform(shape, a=math.sqrt(5))


def default_bias(shape):
    """The bias for a weight of that shape as PyTorch draws it: uniform within 1/sqrt(fan_in).   ->  (out,)"""
    return uniform(shape[:1], 1 / math.sqrt(fans(shape)[0]))


def kaiming_deviation(shape, a, mode, nonlinearity):
    """gain / sqrt(fan)."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode={mode!r} is neither 'fan_in' nor 'fan_out'")
    fan_in, fan_out = fans(shape)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def calculate_gain(nonlinearity, param=None):
    """By how much a layer should stretch its signal to make up for the activation behind it.

    1 for "linear", "conv2d" and "sigmoid", 5/3 for "tanh", sqrt(2) for "relu", and sqrt(2 / (1 + param**2)) for
    "leaky_relu", whose slope `param` is 0.01 unless given.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"init: nonlinearity={nonlinearity!r} is none of {', '.join(GAINS)}, leaky_relu")
    return GAINS[nonlinearity]


def fans(shape):
    """(fan_in, fan_out): how many numbers each output is made of, and how many outputs each input goes into."""
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"init: a weight has at least two axes, none of length 0; this shape is {tuple(shape)}")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


class Budget(threading.local):
    """How many numbers may still be drawn, in this thread."""

    left = math.inf

    def spend(self, count):
        """Take `count` of them, or raise ValueError before any are drawn."""
        if count > self.left:
            raise ValueError(f"init: {count} more weights are more than is allowed here")
        self.left -= count


budget = Budget()


@contextmanager
def at_most(count):
    """In the block, drawing more than `count` numbers is a ValueError: for networks that a stranger describes."""
    before, budget.left = budget.left, count
    try:
        yield
    finally:
        budget.left = before
