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
    "lerp",
    "local_response_norm",
    "local_response_norm_gradient",
    "matmul",
    "max_pool2d",
    "max_pool2d_gradient",
    "relu",
    "relu_gradient",
    "resample",
    "rmsprop",
    "sgd",
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


def channel_sums(x):
    """The sum of each channel.   x (N, C, H, W)  ->  (C,)"""
    return x.sum((0, 2, 3))


def max_pool2d(x, window):
    """The largest element of each window, and where in the window it was (i * KW + j, the first if several).

    x (N, C, H, W)  ->  (N, C, OH, OW), uint8 or uint16 (N, C, OH, OW). NaN counts as larger than every number.
    """
    xp = array_module(x)
    view = windows(pad(x, window, -math.inf), window._replace(padding=Window._field_defaults["padding"]))
    n, oh, ow, c, kh, kw = view.shape
    places = view.reshape(n, oh, ow, c, kh * kw)
    place = places.argmax(-1)
    out = xp.take_along_axis(places, place[..., None], -1)[..., 0]
    place = place.astype(xp.uint8 if kh * kw <= 256 else xp.uint16)
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


def channel_moments(x):
    """Mean and (biased) variance of each channel.   x (N, C, H, W)  ->  (C,), (C,)"""
    mean = x.mean((0, 2, 3))
    return mean, ((x - by_channel(mean)) ** 2).mean((0, 2, 3))


def batch_norm(x, weight, bias, add, mean, var, eps, relu, ceiling=None):
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel, + add; if `relu`, from 0 to `ceiling`.

    x, add (N, C, H, W) or None; weight, bias, mean, var (C,)  ->  (N, C, H, W)
    """
    xp = array_module(x)
    out = (x - by_channel(mean)) * by_channel(weight / xp.sqrt(var + eps)) + by_channel(bias)
    out = out if add is None else out + add
    out = xp.maximum(out, 0) if relu else out
    return out if ceiling is None else xp.minimum(out, ceiling)


def batch_norm_gradient(grad, out, x, weight, mean, var, eps, training, adds, ceiling=None):
    """The gradients of batch_norm by x, weight, bias and add (None unless `adds`).

    `out` is what batch_norm gave if it did ReLU, which lets grad pass where 0 < out < ceiling, else None. What passes
    is the gradient by add; with it, xhat = (x - mean) / sqrt(var + eps),  dweight = sum(grad * xhat)  and
    dbias = sum(grad): in training, where mean and var depend on x,
    dx = weight / sqrt(var + eps) * (grad - dbias / m - xhat * dweight / m),   m = N*H*W;  else the first term alone.
    """
    grad = grad if out is None else relu_gradient(grad, out, ceiling)
    deviation = 1 / array_module(x).sqrt(var + eps)
    xhat = (x - by_channel(mean)) * by_channel(deviation)
    dbias, dweight = channel_sums(grad), channel_sums(grad * xhat)
    dx = grad
    if training:
        m = x.size // x.shape[1]
        dx = grad - by_channel(dbias / m) - xhat * by_channel(dweight / m)
    return dx * by_channel(weight * deviation), dweight, dbias, grad if adds else None


def local_response_norm(x, size, alpha, beta, k):
    """x / s**beta,  s[c] = k + alpha / size * sum of x[d]**2 over the channels d from c - size//2 to c + (size-1)//2.

    x (N, C, H, W)  ->  (N, C, H, W); channels that do not exist count as zeros
    """
    return x / (k + alpha / size * neighbours(x * x, size // 2, size)) ** beta


def local_response_norm_gradient(grad, x, size, alpha, beta, k):
    """The gradient by x:  grad / s**beta - 2 * alpha * beta / size * x * sum of grad * x / s**(beta + 1).

    The sum is over the channels whose windows see this one, from c - (size-1)//2 to c + size//2.
    """
    s = k + alpha / size * neighbours(x * x, size // 2, size)
    share = grad / s**beta
    return share - 2 * alpha * beta / size * x * neighbours(share * x / s, (size - 1) // 2, size)


def neighbours(x, before, size):
    """The sum over `size` channels, the first of them `before` channels before; beyond the ends there are zeros."""
    n, c, h, w = x.shape
    wider = array_module(x).zeros((n, c + size - 1, h, w), dtype=x.dtype)
    wider[:, before:before + c] = x
    return sum(wider[:, i:i + c] for i in range(size))


def by_channel(v):
    """(C,)  ->  (C, 1, 1), which broadcasts over images."""
    return v[:, None, None]
