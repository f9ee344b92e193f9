"""Transposed convolution: the way of a convolution's gradient, used forwards, so that images grow.

Where conv2d gathers a window of x for each output pixel, conv_transpose2d lays each pixel of x, times the filter, over
a window of the output, and what meets there adds up. So its kernels are those of conv2d with the roles exchanged: the
forward is conv2d's input gradient, and the gradients are conv2d and its weight gradient.
"""

from minidl.device import array_module
from minidl.functional.convolution import pair
from minidl.functional.linear import check_dtypes
from minidl.kernels import Window, backend
from minidl.tensor import op


@op
def conv_transpose2d(x, weight, bias=None, /, *, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """out[n, f, y*s + i*d - p, x*s + j*d - p] = bias[f] + sum over c, y, x, i, j of x[n, c, y, x] * weight[c, f, i, j]

    x (N, C, H, W), weight (C, F/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW)
    stride, dilation  pixels of the output; one number, or (vertical, horizontal)
    padding           pixels cut away on each side of the output: the padding of the convolution that this transposes
    output_padding    pixels more at the bottom and at the right, fewer than the stride or the dilation
    groups            channels of group g go into the outputs of group g alone
    OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1
    Zeiler et al., "Deconvolutional networks", CVPR 2010; Long et al., "Fully convolutional networks", CVPR 2015.
    """
    check_shapes(x, weight, bias, groups)
    check_dtypes("conv_transpose2d", x, weight, bias)
    window, more = window_and_rest("conv_transpose2d", weight.shape[2:], stride, padding, output_padding, dilation)
    filters, size = weight.shape[1] * groups, out_size(x.shape[2:], window, more)
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: x {x.shape} with a window that spans {window.extent}, stride "
                         f"{window.stride} and padding {padding} gives images of {size} pixels")
    kernels, (h, w) = backend(x), x.shape[2:]
    x = filled_up(x, window.out(size))
    out = kernels.conv2d_input_gradient(x, weight, (len(x), filters, *size), window, groups, bias)

    def backward(grad):
        return (
            lambda: kernels.conv2d(grad, weight, None, window, groups)[:, :, :h, :w],
            lambda: kernels.conv2d_weight_gradient(x, grad, window, groups),
            lambda: kernels.channel_sums(grad),
        )
    return out, backward


def window_and_rest(name, kernel, stride, padding, output_padding, dilation):
    """The Window of the convolution that is transposed, and the output_padding, checked."""
    stride, dilation = pair(name, "stride", stride, 1), pair(name, "dilation", dilation, 1)
    padding, more = pair(name, "padding", padding, 0), pair(name, "output_padding", output_padding, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(f"{name}: output_padding={output_padding} must be smaller than stride={stride} or "
                         f"dilation={dilation}")
    return Window(kernel, stride, tuple((p, p) for p in padding), dilation), more


def out_size(size, window, more):
    """(OH, OW) of a transposed convolution of images of `size` (H, W)."""
    return tuple((n - 1) * s - 2 * p + extent + m for n, s, (p, _), extent, m in zip(
        size, window.stride, window.padding, window.extent, more, strict=True))


def filled_up(x, size):
    """x with zeros below and at the right, up to `size`: an output_padding of a stride or more makes room for them."""
    if x.shape[2:] == size:
        return x
    out = array_module(x).zeros_like(x, shape=(*x.shape[:2], *size))
    out[:, :, :x.shape[2], :x.shape[3]] = x
    return out


def check_shapes(x, weight, bias, groups):
    """Raise ValueError unless the arrays fit each other and the groups."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"conv_transpose2d: x must be images (N, C, H, W) with something in them, not {x.shape}")
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError(f"conv_transpose2d: weight must be filters (C, F/groups, KH, KW), none of them 0, "
                         f"not {weight.shape}")
    if not isinstance(groups, int) or groups < 1 or x.shape[1] % groups or x.shape[1] != len(weight):
        raise ValueError(f"conv_transpose2d: the {x.shape[1]} channels of x {x.shape} must be the first length of "
                         f"weight {weight.shape} and divide into groups={groups}")
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ValueError(f"conv_transpose2d: bias must be ({weight.shape[1] * groups},), one number per output "
                         f"channel, not {bias.shape}")
