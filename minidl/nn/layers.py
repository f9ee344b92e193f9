"""The layers: each keeps its settings and its parameters, and calls the function of the same name.

Names, settings, defaults and shapes are PyTorch's, so its weights load by name. What a layer computes is told by its
function in `functional/`. Batch normalization, which also remembers, has a file of its own: `normalization.py`.
"""

import numpy as np

import minidl.functional as F
from minidl.functional.convolution import pair
from minidl.nn import init
from minidl.nn.module import Module, Parameter


class Conv2d(Module):
    """Convolution with a weight (out_channels, in_channels/groups, KH, KW) and a bias (out_channels,), as F.conv2d.

    x (N, in_channels, H, W)  ->  (N, out_channels, OH, OW);   layer(x, relu=True) is F.relu(layer(x)) in one pass
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros"):
        check_sizes("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide in_channels={in_channels} and "
                             f"out_channels={out_channels}")
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode={padding_mode!r} is not supported, only 'zeros' is")
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = padding if padding in ("same", "valid") else pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = groups
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(outputs_last(init.default_weight(shape)))
        self.bias = Parameter(init.default_bias(shape)) if bias else None

    def forward(self, x, relu=False):
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding, dilation=self.dilation,
                        groups=self.groups, relu=relu)

    def extra_repr(self):
        filters, channels = self.weight.shape[:2]
        return (f"{channels * self.groups}, {filters}, kernel_size={self.kernel_size}, stride={self.stride}"
                + unless("padding", self.padding, (0, 0)) + unless("dilation", self.dilation, (1, 1))
                + unless("groups", self.groups, 1) + unless("bias", self.bias is not None, True))


class Linear(Module):
    """x @ weight.T + bias, with a weight (out_features, in_features) and a bias (out_features,).

    x (..., in_features)  ->  (..., out_features)
    """

    def __init__(self, in_features, out_features, bias=True):
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        shape = (out_features, in_features)
        self.weight = Parameter(outputs_last(init.default_weight(shape)))
        self.bias = Parameter(init.default_bias(shape)) if bias else None

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}" + unless("bias", self.bias is not None, True)


class MaxPool2d(Module):
    """The largest element of each window, as F.max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        if return_indices:
            raise ValueError("MaxPool2d: return_indices is not supported")
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride, 1)
        self.padding = pair("MaxPool2d", "padding", padding, 0)
        self.dilation = pair("MaxPool2d", "dilation", dilation, 1)
        self.ceil_mode = ceil_mode

    def forward(self, x):
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self):
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
                + unless("dilation", self.dilation, (1, 1)) + unless("ceil_mode", self.ceil_mode, False))


class AvgPool2d(Module):
    """The mean of each window, as F.avg_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        self.kernel_size = pair("AvgPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("AvgPool2d", "stride", stride, 1)
        self.padding = pair("AvgPool2d", "padding", padding, 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x):
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)

    def extra_repr(self):
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
                + unless("ceil_mode", self.ceil_mode, False)
                + unless("count_include_pad", self.count_include_pad, True)
                + unless("divisor_override", self.divisor_override, None))


class AdaptiveAvgPool2d(Module):
    """The mean over OH x OW nearly equal parts, as F.adaptive_avg_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The maximum over OH x OW nearly equal parts, as F.adaptive_max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, output_size, return_indices=False):
        if return_indices:
            raise ValueError("AdaptiveMaxPool2d: return_indices is not supported")
        self.output_size = output_size

    def forward(self, x):
        return F.adaptive_max_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x):
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, x):
        return F.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, x):
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x):
        return F.tanh(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along the axis `dim`: positive numbers that sum to 1."""

    def __init__(self, dim):
        self.dim = dim

    def forward(self, x):
        return F.softmax(x, axis=self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class Dropout(Module):
    """In training each element becomes 0 with probability p, else x / (1 - p); in use x itself."""

    def __init__(self, p=0.5):
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p} is not a probability from 0 up to, but not, 1")
        self.p = p

    def forward(self, x):
        return F.dropout(x, p=self.p, training=self.training)

    def extra_repr(self):
        return f"p={self.p}"


class Flatten(Module):
    """The axes from start_dim to end_dim made one.   Flatten(): (N, C, H, W) -> (N, C*H*W)"""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """x itself: it holds the place of a layer that is left out."""

    def forward(self, x):
        return x


def outputs_last(weight):
    """The same weight, of the same shape, in the order of memory in which the CPU kernels read it.

    (F, C, KH, KW) lies in memory as (KH, KW, C, F), and (out, in) as (in, out): a vector then holds neighbouring
    outputs. This is a matter of speed alone; any order gives the same results.
    """
    axes = (*range(2, weight.ndim), 1, 0)
    return np.ascontiguousarray(weight.transpose(axes)).transpose(np.argsort(axes))


def check_sizes(layer, **sizes):
    """Raise ValueError unless every size is a whole number of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"{layer}: {name}={size!r} must be a whole number of at least 1")


def unless(name, value, default):
    """A setting as `extra_repr` shows it: nothing if it is the default."""
    return "" if value == default else f", {name}={value!r}"
