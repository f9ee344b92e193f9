"""Transposed convolution: the input gradient of a convolution used as a forward pass, so that images grow.

conv2d gathers a window of x for each output pixel. conv_transpose2d adds each pixel of x, times the filter, to a window
of the output. So it uses the kernels of conv2d with exchanged roles: its forward is conv2d's input gradient, and its
gradients are conv2d and conv2d's weight gradient.
"""

from typing import Any

from minidl.device import array_module
from minidl.functional.checks import Pair, check_dtypes, transposed_window
from minidl.kernels import Window, backend
from minidl.scalars import whole
from minidl.tensor import Operand, op


@op
def conv_transpose2d(x: Operand, weight: Operand, bias: Operand = None, /, stride: Pair = 1, padding: Pair = 0,
                     output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1):
    """out[n, f, y*s + i*d - p, x*s + j*d - p] = bias[f] + sum over c, y, x, i, j of x[n, c, y, x] * weight[c, f, i, j]

    x (N, C, H, W), weight (C, F/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW)
    stride, dilation  in pixels of the output; one number, or (vertical, horizontal)
    padding           pixels removed on each side of the output: the padding of the convolution that this transposes
    output_padding    additional pixels at the bottom and right, fewer than the stride or the dilation
    groups            the channels of group g contribute only to the outputs of group g
    OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1
    Zeiler et al., "Deconvolutional networks", CVPR 2010; Long et al., "Fully convolutional networks", CVPR 2015.
    """
    groups = whole("conv_transpose2d", "groups", groups, 1)
    check_shapes(x, weight, bias, groups)
    check_dtypes("conv_transpose2d", x, weight, bias)
    window, more = transposed_window("conv_transpose2d", weight.shape[2:], stride, padding, output_padding, dilation)
    filters, size = weight.shape[1] * groups, out_size(x.shape[2:], window, more)
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: x {x.shape} with a window that spans {window.extent}, stride "
                         f"{window.stride} and padding {padding} gives images of {size} pixels")
    kernels, (h, w) = backend(x), x.shape[2:]
    x = zero_filled(x, window.out(size))
    out = kernels.conv2d_input_gradient(x, weight, (len(x), filters, *size), window, groups, bias)

    def backward(grad):
        return (
            lambda: kernels.conv2d(grad, weight, None, window, groups)[:, :, :h, :w],
            lambda: kernels.conv2d_weight_gradient(x, grad, window, groups),
            lambda: kernels.axis_sums(grad, (0, 2, 3)).reshape(-1),
        )
    return out, backward


def out_size(size: Any, window: Window, more: tuple[int, int]) -> tuple[int, ...]:
    """(OH, OW) of a transposed convolution of images of `size` (H, W)."""
    return tuple((n - 1) * s - 2 * p + extent + m for n, s, (p, _), extent, m in zip(
        size, window.stride, window.padding, window.extent, more, strict=True))


def zero_filled(x: Any, size: tuple[int, int]) -> Any:
    """x with zeros at the bottom and right, up to `size`, which is larger if output_padding is at least the stride."""
    if x.shape[2:] == size:
        return x
    out = array_module(x).zeros_like(x, shape=(*x.shape[:2], *size))
    out[:, :, :x.shape[2], :x.shape[3]] = x
    return out


def check_shapes(x: Any, weight: Any, bias: Any, groups: int) -> None:
    """Raise ValueError unless the shapes of the arrays and the number of groups are consistent."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"conv_transpose2d: x must be images (N, C, H, W), where only N may be 0, not {x.shape}")
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError("conv_transpose2d: weight must be filters (C, F/groups, KH, KW) with no axis of length 0, "
                         f"not {weight.shape}")
    if x.shape[1] % groups or x.shape[1] != len(weight):
        raise ValueError(f"conv_transpose2d: the {x.shape[1]} channels of x {x.shape} must be the first length of "
                         f"weight {weight.shape}, and groups={groups} must divide them")
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ValueError(f"conv_transpose2d: bias must be ({weight.shape[1] * groups},), one element per output "
                         f"channel, not {bias.shape}")
