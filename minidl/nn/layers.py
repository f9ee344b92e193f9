"""The layers: each keeps its settings and its parameters, and calls the function of the same name in `functional/`.

Names, settings, defaults and shapes are PyTorch's, so that PyTorch's weights load by name. Activations, pooling and
normalization have files of their own: `activation.py`, `pooling.py` and `normalization.py`.
"""

from typing import Any, ClassVar

import numpy as np

import minidl.functional as F
from minidl.functional.checks import Padding, Pair, check_images, pair, transposed_window, window_of
from minidl.nn import init
from minidl.nn.activation import ReLU
from minidl.nn.module import Fusions, Module, Parameter
from minidl.scalars import number, plain, whole
from minidl.tensor import Tensor


class Conv2d(Module):
    """Convolution with a weight (out_channels, in_channels/groups, KH, KW) and a bias (out_channels,), as F.conv2d.

    x (N, in_channels, H, W)  ->  (N, out_channels, OH, OW);   layer(x, relu=True) is F.relu(layer(x)) in one pass
    """

    fuses_after: ClassVar[Fusions] = {ReLU: {"relu": True}}

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
                 padding: Padding = 0, dilation: Pair = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros"):
        in_channels, out_channels, groups = sizes("Conv2d", in_channels=in_channels, out_channels=out_channels,
                                                  groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide in_channels={in_channels} and "
                             f"out_channels={out_channels}")
        if padding_mode not in ("zeros", "reflect", "replicate"):
            raise ValueError(f"Conv2d: padding_mode={padding_mode!r} is none of 'zeros', 'reflect', 'replicate'")
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding: Padding = padding if isinstance(padding, str) else pair("Conv2d", "padding", padding, 0)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Conv2d: padding={padding!r} must be 'same', 'valid', a whole number or two of them")
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.groups, self.padding_mode = groups, padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(outputs_last(init.default_weight(shape)))
        self.bias = Parameter(init.default_bias(shape)) if bias else None

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        padding: Padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self.border(x), self.padding_mode), 0
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=padding, dilation=self.dilation,
                        groups=self.groups, relu=relu)

    def border(self, x: Tensor) -> tuple[int, int, int, int]:
        """(left, right, top, bottom): the number of pixels that padding adds on each side of images x."""
        check_images("Conv2d", x)
        window = window_of("Conv2d", x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        return window.padding[1] + window.padding[0]

    def extra_repr(self) -> str:
        filters, channels = self.weight.shape[:2]
        return (f"{channels * self.groups}, {filters}, kernel_size={self.kernel_size}, stride={self.stride}"
                + unless("padding", self.padding, (0, 0)) + unless("dilation", self.dilation, (1, 1))
                + unless("groups", self.groups, 1) + unless("bias", self.bias is not None, True)
                + unless("padding_mode", self.padding_mode, "zeros"))


class ConvTranspose2d(Module):
    """Transposed convolution with a weight (in_channels, out_channels/groups, KH, KW), as F.conv_transpose2d.

    x (N, in_channels, H, W)  ->  (N, out_channels, OH, OW)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Pair, stride: Pair = 1,
                 padding: Pair = 0, output_padding: Pair = 0, groups: int = 1, bias: bool = True,
                 dilation: Pair = 1):
        in_channels, out_channels, groups = sizes("ConvTranspose2d", in_channels=in_channels,
                                                  out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"ConvTranspose2d: groups={groups} must divide in_channels={in_channels} and "
                             f"out_channels={out_channels}")
        kernel = pair("ConvTranspose2d", "kernel_size", kernel_size, 1)
        window, self.output_padding = transposed_window("ConvTranspose2d", kernel, stride, padding, output_padding,
                                                      dilation)
        self.kernel_size, self.stride, _, self.dilation = window
        self.padding = pair("ConvTranspose2d", "padding", padding, 0)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight = Parameter(outputs_last(init.default_weight(shape)))
        self.bias = Parameter(init.default_bias((out_channels, *shape[1:]))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                                  output_padding=self.output_padding, groups=self.groups, dilation=self.dilation)

    def extra_repr(self) -> str:
        channels, filters = self.weight.shape[:2]
        return (f"{channels}, {filters * self.groups}, kernel_size={self.kernel_size}, stride={self.stride}"
                + unless("padding", self.padding, (0, 0)) + unless("output_padding", self.output_padding, (0, 0))
                + unless("dilation", self.dilation, (1, 1)) + unless("groups", self.groups, 1)
                + unless("bias", self.bias is not None, True))


class Linear(Module):
    """x @ weight.T + bias, with a weight (out_features, in_features) and a bias (out_features,).

    x (..., in_features)  ->  (..., out_features);   layer(x, relu=True) is F.relu(layer(x)) in one pass
    """

    fuses_after: ClassVar[Fusions] = {ReLU: {"relu": True}}

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        in_features, out_features = sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self.weight = Parameter(outputs_last(init.default_weight(shape)))
        self.bias = Parameter(init.default_bias(shape)) if bias else None

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        return F.linear(x, self.weight, self.bias, relu=relu)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}" + unless("bias", self.bias is not None, True)


class Dropout(Module):
    """In training, each element becomes 0 with probability p, else x / (1 - p); in eval mode, x itself."""

    drop = staticmethod(F.dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False):
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x, p=self.p, training=self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout2d(Dropout):
    """In training, each channel of an image becomes 0 with probability p, else x / (1 - p); in eval mode, x itself."""

    drop = staticmethod(F.dropout2d)


class Upsample(Module):
    """Images resized, as F.interpolate.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(self, size: Pair | None = None, scale_factor: float | tuple[float, float] | None = None,
                 mode: str = "nearest", align_corners: bool | None = None):
        self.size, self.scale_factor, self.mode = plain(size), plain(scale_factor), mode
        self.align_corners = plain(align_corners)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size, self.scale_factor, mode=self.mode, align_corners=self.align_corners)

    def extra_repr(self) -> str:
        size = f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}"
        return f"{size}, mode={self.mode!r}" + unless("align_corners", self.align_corners, None)


class Flatten(Module):
    """The axes from start_dim to end_dim merged into one.   Flatten(): (N, C, H, W) -> (N, C*H*W)"""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = plain(start_dim), plain(end_dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """x itself: a placeholder for a layer that is left out."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def outputs_last(weight: np.ndarray) -> np.ndarray:
    """The same weight, with the same shape, in the memory order in which the CPU kernels read it.

    (F, C, KH, KW) is stored as (KH, KW, C, F), and (out, in) as (in, out), so that a vector holds neighbouring outputs.
    This affects speed alone; any order gives the same results. A placeholder (see `init.py`) stays one.
    """
    if not any(weight.strides):
        return weight
    axes = (*range(2, weight.ndim), 1, 0)
    return np.ascontiguousarray(weight.transpose(axes)).transpose(np.argsort(axes))


def sizes(layer: str, **given: Any) -> list[int]:
    """The sizes as Python ints; each must be a whole number of at least 1."""
    return [whole(layer, name, size) for name, size in given.items()]


def unless(name: str, value: Any, default: Any) -> str:
    """A setting as `extra_repr` shows it; empty for the default."""
    return "" if value == default else f", {name}={value!r}"
