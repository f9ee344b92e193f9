"""Convolution with a window of one pixel: a matrix product over all pixels, and nothing more.

In channels-last memory the images are a matrix already, with a row for each pixel. Stride 1, no padding, one group;
everything else is for `direct.py`.
"""

from minidl.kernels.cpu.gemm.matmul import matmul
from minidl.kernels.cpu.layout import channels_last, logical


def conv2d(x, weight, bias, relu=False):
    """out[n, f, y, x] = bias[f] + sum over c of x[n, c, y, x] * weight[f, c]

    x (N, C, H, W), weight (F, C, 1, 1), bias (F,) or None  ->  (N, F, H, W), channels last in memory
    With `relu`, max(out, 0).
    """
    return images(matmul(pixels(x), weight[:, :, 0, 0].T, bias, relu), x.shape)


def conv2d_input_gradient(grad, weight, bias=None):
    """The gradient of conv2d by x, + bias (C,).   grad (N, F, H, W), weight (F, C, 1, 1)  ->  (N, C, H, W)"""
    return conv2d(grad, weight.transpose(1, 0, 2, 3), bias)


def conv2d_weight_gradient(grad, x):
    """The gradient of conv2d by its weight.   grad (N, F, H, W), x (N, C, H, W)  ->  (F, C, 1, 1)"""
    return matmul(pixels(x).T, pixels(grad)).T[:, :, None, None]


def pixels(x):
    """Images (N, C, H, W) as a matrix (N*H*W, C)."""
    return channels_last(x).reshape(-1, x.shape[1])


def images(rows, shape):
    """The inverse, for images of the height and width that `shape` has: (N*H*W, F) as (N, F, H, W)."""
    n, _, h, w = shape
    return logical(rows.reshape(n, h, w, -1))
