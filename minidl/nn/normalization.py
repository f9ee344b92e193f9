"""Batch normalization as a layer: the function that normalizes, and the memory of the means and variances it has seen.

`F.batch_norm` changes nothing. So the layer takes the moments of the batch, hands them to the function, and then moves
its running statistics a little towards them; those are what it normalizes by when it is in use.
"""

import numpy as np

import minidl.functional as F
from minidl.device import array_module
from minidl.functional.normalization import channel_moments
from minidl.nn.layers import check_sizes
from minidl.nn.module import Module, Parameter
from minidl.tensor import Tensor, as_array


class BatchNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel.

    layer(x, add=shortcut, relu=True) is F.relu(layer(x) + shortcut) in one pass over memory; so is each alone.
    In training mean and var are the moments of the batch, otherwise the running statistics
    running <- (1 - momentum) * running + momentum * moment,  of which the variance is the unbiased one.
    momentum             None: every batch counts the same, momentum = 1 / num_batches_tracked
    affine               whether there are weight and bias (num_features,)
    track_running_stats  whether there are running statistics; without, the batch's moments serve always
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """

    ndim = None

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        name = type(self).__name__
        check_sizes(name, num_features=num_features)
        if eps <= 0:
            raise ValueError(f"{name}: eps={eps} must be larger than 0")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"{name}: momentum={momentum} is neither None nor a number from 0 to 1")
        self.num_features, self.eps, self.momentum = num_features, float(eps), momentum
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.running_mean = Tensor(np.zeros(num_features, np.float32)) if track_running_stats else None
        self.running_var = Tensor(np.ones(num_features, np.float32)) if track_running_stats else None
        self.num_batches_tracked = Tensor(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, x, add=None, relu=False):
        if x.ndim != self.ndim or x.shape[1] != self.num_features:
            wanted = (self.num_features, "H", "W")[:self.ndim - 1]
            raise ValueError(f"{type(self).__name__}: x must be (N, {', '.join(map(str, wanted))}), not {x.shape}")
        tracked = self.running_mean is not None
        if tracked and not self.training:
            return F.batch_norm(x, self.weight, self.bias, add, mean=self.running_mean.data, var=self.running_var.data,
                                training=False, eps=self.eps, relu=relu)
        mean, var = channel_moments(as_array(x))
        out = F.batch_norm(x, self.weight, self.bias, add, mean=mean, var=var, training=True, eps=self.eps, relu=relu)
        if tracked:
            self.track(mean, var, x.size // self.num_features)
        return out

    def track(self, mean, var, n):
        """Move the running statistics towards the moments of a batch of `n` values per channel.

        They become new arrays, because a graph that awaits its backward may hold the old ones.
        """
        batches = self.num_batches_tracked.data + 1
        self.num_batches_tracked.data = array_module(mean).asarray(batches)        # NumPy's sum is a scalar
        momentum = 1 / int(batches) if self.momentum is None else self.momentum
        for running, moment in ((self.running_mean, mean), (self.running_var, var * (n / (n - 1)))):
            running.data = running.data * (1 - momentum) + moment * momentum

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}, "
                f"track_running_stats={self.running_mean is not None}")


class BatchNorm2d(BatchNorm):
    """Batch normalization of images.   (N, C, H, W) -> (N, C, H, W)"""

    ndim = 4


class BatchNorm1d(BatchNorm):
    """Batch normalization of vectors.   (N, C) -> (N, C)"""

    ndim = 2
