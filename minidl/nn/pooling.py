"""Pooling as layers: each keeps its settings, with PyTorch's names and defaults, and calls the function of its name."""

from typing import ClassVar

import minidl.functional as F
from minidl.functional.checks import Pair, pair
from minidl.functional.pooling import OutputSize
from minidl.nn.activation import ReLU
from minidl.nn.layers import unless
from minidl.nn.module import Fusions, Module
from minidl.scalars import flag, plain
from minidl.tensor import Tensor


class MaxPool2d(Module):
    """The largest element of each window, as F.max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)

    layer(x, relu=True) is layer(F.relu(x)) in one pass, and rectifies only the elements that are left
    """

    fuses_before: ClassVar[Fusions] = {ReLU: {"relu": True}}

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1,
                 return_indices: bool = False, ceil_mode: bool = False):
        if return_indices:
            raise ValueError("MaxPool2d: return_indices is not supported")
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride, 1)
        self.padding = pair("MaxPool2d", "padding", padding, 0)
        self.dilation = pair("MaxPool2d", "dilation", dilation, 1)
        self.ceil_mode = flag("MaxPool2d", "ceil_mode", ceil_mode)

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, relu=relu)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
                + unless("dilation", self.dilation, (1, 1)) + unless("ceil_mode", self.ceil_mode, False))


class AvgPool2d(Module):
    """The mean of each window, as F.avg_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None):
        self.kernel_size = pair("AvgPool2d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair("AvgPool2d", "stride", stride, 1)
        self.padding = pair("AvgPool2d", "padding", padding, 0)
        self.ceil_mode = flag("AvgPool2d", "ceil_mode", ceil_mode)
        self.count_include_pad = flag("AvgPool2d", "count_include_pad", count_include_pad)
        self.divisor_override = plain(divisor_override)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
                + unless("ceil_mode", self.ceil_mode, False)
                + unless("count_include_pad", self.count_include_pad, True)
                + unless("divisor_override", self.divisor_override, None))


class AdaptiveAvgPool2d(Module):
    """The mean of each of OH x OW nearly equal parts, as F.adaptive_avg_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, output_size: OutputSize):
        self.output_size = plain(output_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The maximum of each of OH x OW nearly equal parts, as F.adaptive_max_pool2d.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, output_size: OutputSize, return_indices: bool = False):
        if return_indices:
            raise ValueError("AdaptiveMaxPool2d: return_indices is not supported")
        self.output_size = plain(output_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_max_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
