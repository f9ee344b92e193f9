"""Normalization as layers. Batch normalization keeps running averages of the moments of batches.

`F.batch_norm` has no side effects. The layer computes the moments of the batch, passes them to the function, and then
moves its running statistics a little towards them; in eval mode it normalizes by the running statistics. The other
kinds normalize each example by itself and keep nothing.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import minidl.functional as F
from minidl.device import at
from minidl.functional.normalization import channel_moments
from minidl.kernels import backend
from minidl.modes import mode
from minidl.nn.activation import ReLU, ReLU6
from minidl.nn.layers import unless
from minidl.nn.module import Fusions, Module, Parameter
from minidl.scalars import number, plain, whole
from minidl.tensor import Tensor, as_array


class BatchNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel.

    layer(x, add=shortcut, relu=True) is F.relu(layer(x) + shortcut) in one pass over memory; either may be requested
    alone, and layer(x, relu=True, ceiling=6) is F.relu6(layer(x)).
    In training mode, mean and var are the moments of the batch; in eval mode, they are the running statistics
    running <- (1 - momentum) * running + momentum * moment,  where the variance is the unbiased one.
    momentum             None: every batch has the same weight, momentum = 1 / num_batches_tracked
    affine               whether there are weight and bias (num_features,)
    track_running_stats  whether there are running statistics; without them, the moments of the batch are always used
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """

    ndim = 0                                    # of x; every subclass has its own
    fuses_after: ClassVar[Fusions] = {ReLU: {"relu": True}, ReLU6: {"relu": True, "ceiling": 6}}

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True):
        name = type(self).__name__
        num_features = self.num_features = whole(name, "num_features", num_features)
        self.eps = number(name, "eps", eps)
        if self.eps <= 0:
            raise ValueError(f"{name}: eps={eps} must be larger than 0")
        self.momentum = None if momentum is None else number(name, "momentum", momentum, 0, 1)
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.running_mean: Any = Tensor(np.zeros(num_features, np.float32)) if track_running_stats else None
        self.running_var: Any = Tensor(np.ones(num_features, np.float32)) if track_running_stats else None
        self.num_batches_tracked: Any = Tensor(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, x: Tensor, add: Tensor | None = None, relu: bool = False, ceiling: float | None = None) -> Tensor:
        self.check_shape(x)
        tracked = self.running_mean is not None
        if tracked and (not self.training or not len(x)):        # no images have no moments
            return F.batch_norm(x, self.weight, self.bias, add, mean=self.running_mean.data, var=self.running_var.data,
                                training=False, eps=self.eps, relu=relu, ceiling=ceiling)
        mean, var = channel_moments(as_array(x))
        out = F.batch_norm(x, self.weight, self.bias, add, mean=mean, var=var, training=True, eps=self.eps, relu=relu,
                           ceiling=ceiling)
        if tracked:
            self.track(mean, var, math.prod(x.shape) // self.num_features)
        return out

    def check_shape(self, x: Tensor) -> None:
        """Raise ValueError unless x has the axes and the channels that this layer needs."""
        if x.ndim != self.ndim or x.shape[1] != self.num_features:
            expected = (self.num_features, "H", "W")[:self.ndim - 1]
            raise ValueError(f"{type(self).__name__}: x must be (N, {', '.join(map(str, expected))}), not {x.shape}")

    def track(self, mean: Any, var: Any, n: int) -> None:
        """Move the running statistics towards the moments of a batch with `n` elements per channel.

        They become new arrays, because a graph whose backward is still to come may hold the old ones; in a captured
        step they stay where they are.
        """
        if mode.recomputing:                     # these are the moments of a batch that has been seen already
            return
        momentum = None if self.momentum is None else float(self.momentum)       # NumPy's would promote
        running = self.running_mean, self.running_var, self.num_batches_tracked
        with at(mean):
            moved = backend(mean).move_moments(*(tensor.data for tensor in running), mean, var, momentum, n, mode.fixed)
        for tensor, array in () if mode.fixed else zip(running, moved, strict=True):
            tensor.data = array

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}, "
                f"track_running_stats={self.running_mean is not None}")


class BatchNorm2d(BatchNorm):
    """Batch normalization of images.   (N, C, H, W) -> (N, C, H, W)"""

    ndim = 4


class BatchNorm1d(BatchNorm):
    """Batch normalization of vectors.   (N, C) -> (N, C)"""

    ndim = 2


class LayerNorm(Module):
    """Each example normalized to mean 0 and variance 1 over its last axes, as F.layer_norm.

    x (..., *normalized_shape)  ->  the same shape;  weight and bias have the shape `normalized_shape`
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True):
        lengths = plain(normalized_shape)
        shape = tuple(whole("LayerNorm", "normalized_shape", length)
                      for length in (lengths if isinstance(lengths, tuple | list) else [lengths]))
        self.normalized_shape, self.eps = shape, number("LayerNorm", "eps", eps)
        self.weight = Parameter(channels_last(np.ones(shape, np.float32))) if elementwise_affine else None
        self.bias = Parameter(channels_last(np.zeros(shape, np.float32))) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
                + unless("bias", self.bias is not None, self.weight is not None))


def channels_last(v: np.ndarray) -> np.ndarray:
    """The same array, with the same shape; if that is (C, H, W), it is stored as images are, (H, W, C)."""
    return np.ascontiguousarray(v.transpose(1, 2, 0)).transpose(2, 0, 1) if v.ndim == 3 else v


class GroupNorm(Module):
    """Each group of neighbouring channels of an example normalized to mean 0 and variance 1, as F.group_norm.

    x (N, num_channels, ...)  ->  the same shape;  weight and bias (num_channels,)
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True):
        num_groups, num_channels = (whole("GroupNorm", "num_groups", num_groups),
                                    whole("GroupNorm", "num_channels", num_channels))
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, number("GroupNorm", "eps", eps)
        self.weight = Parameter(np.ones(num_channels, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, np.float32)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm: x must be (N, {self.num_channels}, ...), not {x.shape}")
        return F.group_norm(x, self.num_groups, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.weight is not None}"


class LocalResponseNorm(Module):
    """x / (k + alpha / size * sum of x**2 over `size` neighbouring channels) ** beta, as F.local_response_norm."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        self.size, self.alpha = whole("LocalResponseNorm", "size", size), number("LocalResponseNorm", "alpha", alpha)
        self.beta, self.k = number("LocalResponseNorm", "beta", beta), number("LocalResponseNorm", "k", k)

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
