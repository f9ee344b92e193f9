"""Convolution: the same small filters, slid over every image.

The function here checks and records; the arithmetic stands in `kernels/`. Read `kernels/im2col.py` for how it works.
"""

import functools
from numbers import Integral

from minidl.functional.linear import check_dtypes
from minidl.kernels import Window, backend
from minidl.tensor import op


@op
def conv2d(x, weight, bias=None, /, *, stride=1, padding=0, dilation=1, groups=1, relu=False):
    """out[n, f, y, x] = bias[f] + sum over c, i, j of x[n, c, y*s + i*d, x*s + j*d] * weight[f, c, i, j]

    x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW)
    stride, dilation  pixels; one number, or (vertical, horizontal)
    padding           zeros on each side of x: likewise; or "valid" (none), or "same" (OH, OW = H, W; stride 1 only)
    groups            filters of group g see the channels of group g alone
    relu              max(out, 0) in the same pass over memory, which PyTorch's function has not
    OH = floor((H + 2*padding - dilation*(KH - 1) - 1) / stride) + 1
    """
    check_shapes(x, weight, bias, groups)
    check_dtypes("conv2d", x, weight, bias)
    window = window_of("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    kernels = backend(x)
    out = kernels.conv2d(x, weight, bias, window, groups, relu)
    rectified = out if relu else None                        # without ReLU, `out` is not needed again

    def backward(grad):
        if relu:
            grad = kernels.relu_gradient(grad, rectified)
        return (
            lambda: kernels.conv2d_input_gradient(grad, weight, x.shape, window, groups),
            lambda: kernels.conv2d_weight_gradient(grad, x, window, groups),
            lambda: kernels.channel_sums(grad),
        )
    return out, backward


def check_shapes(x, weight, bias, groups):
    """Raise ValueError unless the arrays fit each other and the groups."""
    if x.ndim != 4:
        raise ValueError(f"conv2d: x must be images (N, C, H, W), not {x.shape}")
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError(f"conv2d: weight must be filters (F, C/groups, KH, KW), none of them 0, not {weight.shape}")
    if not isinstance(groups, int) or groups < 1 or len(weight) % groups or x.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"conv2d: x {x.shape} has {x.shape[1]} channels and weight {weight.shape} takes "
                         f"{weight.shape[1]} in each of groups={groups}; channels must be their product, "
                         f"and the {len(weight)} filters divide into the groups")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"conv2d: bias must be ({len(weight)},), one number per filter, not {bias.shape}")


def window_of(name, size, kernel, stride, padding, dilation=1):
    """The Window that these settings describe over images of `size` (H, W), checked against that."""
    settings = (tuple(s) if isinstance(s, list) else s for s in (kernel, stride, padding, dilation))
    return checked_window(name, tuple(size), *settings)


@functools.lru_cache(maxsize=512, typed=True)
def checked_window(name, size, kernel, stride, padding, dilation):
    """The same, remembered: a network asks the same in every step."""
    kernel = pair(name, "kernel_size", kernel, 1)
    stride = pair(name, "stride", stride, 1)
    dilation = pair(name, "dilation", dilation, 1)
    window = Window(kernel, stride, ((0, 0), (0, 0)), dilation)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{name}: padding='same' needs stride 1, not {stride}")
        pads = tuple(((extent - 1) // 2, extent // 2) for extent in window.extent)
    elif padding == "valid":
        pads = ((0, 0), (0, 0))
    else:
        pads = tuple((p, p) for p in pair(name, "padding", padding, 0))
    window = window._replace(padding=pads)
    if min(window.out(size)) < 1:
        raise ValueError(f"{name}: a window that spans {window.extent} does not fit images of "
                         f"{window.padded(size)} pixels (padding {pads} included)")
    return window


def pair(name, setting, value, least):
    """(vertical, horizontal) from one whole number or two, each at least `least`."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(v, Integral) and v >= least for v in both):
        raise ValueError(f"{name}: {setting}={value!r} must be a whole number of at least {least}, or two of them")
    return tuple(map(int, both))
