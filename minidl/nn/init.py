"""Initial weights: random arrays whose variance keeps signals at one scale from layer to layer.

Functions take a shape in PyTorch's order, (out, in) or (out, in/groups, kh, kw), and return a new float32 array drawn
from the stream that `manual_seed` starts. To reinitialize a layer:
`layer.weight.data[...] = init.kaiming_normal(layer.weight.shape)`. `he` does so for a whole model. Two functions draw
nothing: `dirac`, the identity, and `whitening`, which computes filters from images.
"""

import math
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from minidl.device import generator
from minidl.functional.checks import pair
from minidl.nn.module import Module
from minidl.scalars import number, whole

M = TypeVar("M", bound=Module)
GAINS = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}


def kaiming_uniform(shape: Sequence[int], a: float = 0.0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu") -> np.ndarray:
    """Uniform in [-b, b] with b = gain * sqrt(3 / fan): the variance is gain**2 / fan.

    a             negative slope of the leaky ReLU after the layer
    mode          "fan_in" preserves the variance of the signal, "fan_out" that of the gradient
    nonlinearity  see `calculate_gain`
    He et al., "Delving deep into rectifiers", ICCV 2015, section 2.2.
    """
    return uniform(shape, math.sqrt(3) * kaiming_deviation(shape, a, mode, nonlinearity))


def kaiming_normal(shape: Sequence[int], a: float = 0.0, mode: str = "fan_in",
                   nonlinearity: str = "leaky_relu") -> np.ndarray:
    """Normal with mean 0 and standard deviation gain / sqrt(fan); settings as in `kaiming_uniform`."""
    return normal(shape, kaiming_deviation(shape, a, mode, nonlinearity))


def xavier_uniform(shape: Sequence[int], gain: float = 1.0) -> np.ndarray:
    """Uniform in [-b, b] with b = gain * sqrt(6 / (fan_in + fan_out)).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    equation 16.
    """
    return uniform(shape, number("init", "gain", gain) * math.sqrt(6 / sum(fans(shape))))


def xavier_normal(shape: Sequence[int], gain: float = 1.0) -> np.ndarray:
    """Normal with mean 0 and standard deviation gain * sqrt(2 / (fan_in + fan_out)); source as in `xavier_uniform`."""
    return normal(shape, number("init", "gain", gain) * math.sqrt(2 / sum(fans(shape))))


def uniform(shape: Sequence[int], bound: float) -> np.ndarray:
    """Uniform in [-bound, bound]."""
    bound = number("init", "bound", bound)
    if settings.placeholders:
        return placeholder(shape)
    budget.spend(math.prod(shape))
    return (generator().random(shape, dtype=np.float32) * 2 - 1) * bound


def normal(shape: Sequence[int], deviation: float) -> np.ndarray:
    """Normal with mean 0 and the given standard deviation."""
    deviation = number("init", "deviation", deviation)
    if settings.placeholders:
        return placeholder(shape)
    budget.spend(math.prod(shape))
    return generator().standard_normal(shape, dtype=np.float32) * deviation


def default_weight(shape: Sequence[int]) -> np.ndarray:
    """PyTorch's initial weight: kaiming_uniform with a = sqrt(5), that is, uniform in +-1/sqrt(fan_in)."""
    return kaiming_uniform(shape, a=math.sqrt(5))


def default_bias(shape: Sequence[int]) -> np.ndarray:
    """PyTorch's initial bias for a weight of that shape: uniform in +-1/sqrt(fan_in).   ->  (out,)"""
    return uniform(shape[:1], 1 / math.sqrt(fans(shape)[0]))


def he(model: M, last: Collection[str] = ()) -> M:
    """Draw the weights of convolutions and dense layers by `kaiming_normal`, set all biases to 0, return the model.

    last  names of layers whose weights have the standard deviation 0.01 instead, so that training begins with equal
          probabilities
    Deep networks without norms begin to learn much earlier than with PyTorch's initial weights, whose variance is a
    sixth of this: the signal shrinks in every layer. He et al., arXiv:1502.01852, section 2.2.
    """
    for name, parameter in model.named_parameters():
        layer, _, kind = name.rpartition(".")
        shape = parameter.shape
        if kind == "bias":
            parameter.data[...] = 0
        elif len(shape) > 1:
            parameter.data[...] = normal(shape, 0.01) if layer in last else kaiming_normal(shape)
    return model


def dirac(shape: Sequence[int], groups: int = 1) -> np.ndarray:
    """The identity as a convolution: output i of each group is input i. Further outputs are 0.

    shape  (out, in/groups, kh, kw), of a convolution with padding "same"
    Zagoruyko and Komodakis, "DiracNets", 2017 (arXiv:1706.00388).
    """
    groups = whole("init", "groups", groups)
    if len(shape) < 3 or 0 in shape or shape[0] % groups:
        raise ValueError(f"init: dirac needs the shape of a convolution, whose outputs {groups=} divides, not "
                         f"{tuple(shape)}")
    if settings.placeholders:
        return placeholder(shape)
    budget.spend(math.prod(shape))
    weight = np.zeros(shape, np.float32)
    outputs = shape[0] // groups
    same, middle = np.arange(min(outputs, shape[1])), tuple(size // 2 for size in shape[2:])
    for first in range(0, shape[0], outputs):
        taps: tuple[Any, ...] = (first + same, same, *middle)
        weight[taps] = 1
    return weight


def whitening(images: np.ndarray, kernel_size: int | Sequence[int], eps: float = 5e-4) -> np.ndarray:
    """Filters of patches whose responses are uncorrelated and have the mean square 1, each with its negative.

    images  (N, C, H, W), normalized as in training; a few thousand are enough  ->  (2 * C * kh * kw, C, kh, kw)
    eps     is added to the mean squares, so that components that hardly occur are not amplified
    The filters are eigenvectors of the patches' second moments, divided by the roots of the eigenvalues, the largest
    first. Page, "How to train your ResNet 8", 2018; Jordan, arXiv:2404.00498, section 3.1.
    """
    height, width = pair("init", "kernel_size", kernel_size, 1)
    if images.ndim != 4 or 0 in images.shape or images.shape[2] < height or images.shape[3] < width:
        raise ValueError(f"init: whitening needs images (N, C, H, W) of at least {height} x {width} pixels, not "
                         f"{images.shape}")
    eps = number("init", "eps", eps, 0)
    size = images.shape[1] * height * width
    moments, count = np.zeros((size, size)), 0
    for first in range(0, len(images), 100):                       # few at a time, since patches overlap
        patches = sliding_window_view(images[first:first + 100], (height, width), axis=(2, 3))
        rows = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, size).astype(np.float64)
        moments += rows.T @ rows
        count += len(rows)
    values, vectors = np.linalg.eigh(moments / count)
    values = np.maximum(values[::-1], 0) + eps
    if values[-1] <= 0:
        raise ValueError("init: whitening found a component of patches that is always 0; pass an eps above 0")
    filters = vectors.T[::-1]
    largest = filters[np.arange(size), abs(filters).argmax(1)]
    filters = filters * (np.sign(largest) / np.sqrt(values))[:, None]           # a sign that does not depend on LAPACK
    both = np.concatenate([filters, -filters]).astype(np.float32)
    return both.reshape(2 * size, images.shape[1], height, width)


def kaiming_deviation(shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    """gain / sqrt(fan)."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode={mode!r} must be 'fan_in' or 'fan_out'")
    fan_in, fan_out = fans(shape)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer should scale its signal to compensate for the activation after it.

    1 for "linear", "conv2d" and "sigmoid", 5/3 for "tanh", sqrt(2) for "relu", and sqrt(2 / (1 + param**2)) for
    "leaky_relu", whose negative slope `param` defaults to 0.01.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else number("init", "the negative slope", param)) ** 2))
    if nonlinearity not in GAINS:
        raise ValueError(f"init: nonlinearity={nonlinearity!r} must be one of {', '.join(GAINS)}, leaky_relu")
    return GAINS[nonlinearity]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out): the number of inputs of each output, and the number of outputs that each input reaches."""
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"init: a weight must have at least two axes, none of length 0; its shape is {tuple(shape)}")
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


class Budget(threading.local):
    """The number of weights that this thread may still draw."""

    left = math.inf

    def spend(self, count: int) -> None:
        """Take `count` of them, or raise ValueError before any are drawn."""
        if count > self.left:
            raise ValueError(f"init: {count} more weights are more than is allowed ({self.left} left)")
        self.left -= count


budget = Budget()


@contextmanager
def at_most(count: float) -> Iterator[None]:
    """In the block, drawing more than `count` weights is a ValueError: for networks described by an untrusted file."""
    before, budget.left = budget.left, count
    try:
        yield
    finally:
        budget.left = before


class Settings(threading.local):
    """placeholders: whether this thread draws no weights."""

    placeholders = False


settings = Settings()


@contextmanager
def placeholders() -> Iterator[None]:
    """In the block, weights are not drawn and take no memory: for networks that serve to show their shapes.

    All elements of a weight share one address, so such a network must not be trained.
    """
    before, settings.placeholders = settings.placeholders, True
    try:
        yield
    finally:
        settings.placeholders = before


def placeholder(shape: Sequence[int]) -> np.ndarray:
    """A float32 array of zeros that all share one address."""
    return as_strided(np.zeros(1, np.float32), shape, [0] * len(shape))
