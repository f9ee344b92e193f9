"""The plain way: every kernel in array code that runs on NumPy and CuPy alike.

Slow on the CPU and good enough on a GPU; short enough to be believed. The other modules of kernels define the same
functions and are tested against these. Convolution has a file of its own, `im2col.py`: read that one first.
"""

import math

from minidl.device import array_module
from minidl.kernels.activation import activation, activation_gradient
from minidl.kernels.im2col import (
    col2im,
    conv2d,
    conv2d_input_gradient,
    conv2d_weight_gradient,
    pad,
    windows,
)
from minidl.kernels.loss import cross_entropy
from minidl.kernels.normalization import (
    batch_norm,
    batch_norm_gradient,
    channel_moments,
    channel_sums,
    group_norm,
    group_norm_gradient,
    layer_norm,
    layer_norm_gradient,
    local_response_norm,
    local_response_norm_gradient,
)
from minidl.kernels.softmax import log_softmax, log_softmax_gradient, softmax, softmax_gradient
from minidl.kernels.update import adam, lerp, rmsprop, sgd
from minidl.kernels.window import Window

__all__ = [
    "activation",
    "activation_gradient",
    "adam",
    "add",
    "avg_pool2d",
    "avg_pool2d_gradient",
    "batch_norm",
    "batch_norm_gradient",
    "channel_moments",
    "channel_sums",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "group_norm",
    "group_norm_gradient",
    "layer_norm",
    "layer_norm_gradient",
    "lerp",
    "local_response_norm",
    "local_response_norm_gradient",
    "log_softmax",
    "log_softmax_gradient",
    "matmul",
    "max_pool2d",
    "max_pool2d_gradient",
    "relu",
    "relu_gradient",
    "resample",
    "rmsprop",
    "sgd",
    "softmax",
    "softmax_gradient",
]


def matmul(a, b, bias=None, relu=False):
    """a @ b + bias for two matrices.   a (M, K), b (K, N), bias (N,) or None  ->  (M, N)

    With `relu`, max(out, 0).
    """
    out = a @ b
    if bias is not None:
        out += bias
    return array_module(a).maximum(out, 0) if relu else out


def add(a, b):
    """a + b, elementwise, with NumPy's broadcasting."""
    return a + b


def relu(x, ceiling=None):
    """max(x, 0), elementwise, or min(max(x, 0), ceiling); NaN stays NaN."""
    xp = array_module(x)
    out = xp.maximum(x, 0)
    return out if ceiling is None else xp.minimum(out, ceiling)


def relu_gradient(grad, out, ceiling=None):
    """grad where out > 0, and out < ceiling if there is one; else 0."""
    passes = out > 0 if ceiling is None else (out > 0) & (out < ceiling)
    return grad * passes


def max_pool2d(x, window, relu=False):
    """The largest element of each window, and where in the window it was (i * KW + j, the first if several).

    x (N, C, H, W)  ->  (N, C, OH, OW), uint8 or uint16 (N, C, OH, OW). NaN counts as larger than every number.
    With `relu`, max(out, 0); where no element is larger than 0, the place is the largest number of its type.
    """
    xp = array_module(x)
    view = windows(pad(x, window, -math.inf), window._replace(padding=Window._field_defaults["padding"]))
    n, oh, ow, c, kh, kw = view.shape
    places = view.reshape(n, oh, ow, c, kh * kw)
    place = places.argmax(-1)
    out = xp.take_along_axis(places, place[..., None], -1)[..., 0]
    place = place.astype(xp.uint8 if kh * kw < 256 else xp.uint16)
    if relu:
        place[out <= 0] = xp.iinfo(place.dtype).max
        out = xp.maximum(out, 0)
    return out.transpose(0, 3, 1, 2), place.transpose(0, 3, 1, 2)


def max_pool2d_gradient(grad, place, shape, window):
    """Each gradient goes to the element that won its window.   grad, place (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    xp = array_module(grad)
    kh, kw = window.kernel
    columns = xp.where(place[..., None] == xp.arange(kh * kw), grad[..., None], 0)       # (N, C, OH, OW, KH*KW)
    return col2im(columns.transpose(0, 2, 3, 1, 4), shape, window)


def avg_pool2d(x, window, share):
    """The sum of each window times `share`, a number or one for each place (OH, OW); padding counts as zeros.

    x (N, C, H, W)  ->  (N, C, OH, OW)
    """
    return windows(x, window).sum((-2, -1)).transpose(0, 3, 1, 2) * share


def avg_pool2d_gradient(grad, shape, window, share):
    """Each gradient times its share goes to all of its window.   grad (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    kh, kw = window.kernel
    grad = (grad * share).transpose(0, 2, 3, 1)[..., None, None]
    return col2im(array_module(grad).broadcast_to(grad, (*grad.shape[:4], kh, kw)), shape, window)


def resample(x, rows, columns):
    """out[n, c, y, z] = sum over s, t of v[y, s] * w[z, t] * x[n, c, i[y, s], j[z, t]]

    x (N, C, H, W); i, v = rows; j, w = columns: Taps of OH and OW outputs  ->  (N, C, OH, OW)
    Taps of weight 0 are left out.
    """
    return along(along(x, 2, rows), 3, columns)


def along(x, axis, taps):
    """x resampled by `taps` along one axis."""
    xp = array_module(x)
    index, weight = xp.asarray(taps.index), xp.asarray(taps.weight.astype(x.dtype))
    out = 0
    for t in range(index.shape[1]):
        share = weight[:, t].reshape(-1, *(1,) * (x.ndim - 1 - axis))
        out = out + xp.where(share != 0, x.take(index[:, t], axis), 0) * share
    return out
