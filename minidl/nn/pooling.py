"""Pooling as layers: settings kept, and the function of the same name called. PyTorch's names and defaults."""

import minidl.functional as F
from minidl.functional.checks import pair
from minidl.nn.layers import unless
from minidl.nn.module import Module


class MaxPool2d(Module):
    """The largest element of each window, as F.max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)

    layer(x, relu=True) is layer(F.relu(x)) in one pass, over fewer elements than a ReLU in front of it would have
    """

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        if return_indices:
            raise ValueError("MaxPool2d: return_indices is not supported")
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride, 1)
        self.padding = pair("MaxPool2d", "padding", padding, 0)
        self.dilation = pair("MaxPool2d", "dilation", dilation, 1)
        self.ceil_mode = ceil_mode

    def forward(self, x, relu=False):
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, relu=relu)

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
