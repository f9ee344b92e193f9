"""Convolution with a window of one pixel: a matrix product over all pixels, and nothing more.

Channels-last images are a matrix already, with a row for each pixel. Stride 1, no padding, one group; `direct.py` does
the rest.
"""

from minidl.kernels.cpu.gemm.matmul import matmul
from minidl.kernels.cpu.layout import channels_last, logical


def conv2d(x, weight, bias, relu=False):
    """out[n, f, oy, ox] = bias[f] + sum over c of x[n, c, oy, ox] * weight[f, c]"""
    return as_images(matmul(as_matrix(x), weight[:, :, 0, 0].T, bias, relu), x.shape)


def conv2d_input_gradient(grad, weight, bias=None):
    """The convolution of grad with the transposed filters."""
    return conv2d(grad, weight.transpose(1, 0, 2, 3), bias)


def conv2d_weight_gradient(grad, x):
    """dw[f, c] = sum over n, oy, ox of grad[n, f, oy, ox] * x[n, c, oy, ox]"""
    return matmul(as_matrix(x).T, as_matrix(grad)).T[:, :, None, None]


def as_matrix(x):
    """Images (N, C, H, W) as a matrix (N*H*W, C)."""
    return channels_last(x).reshape(-1, x.shape[1])


def as_images(rows, shape):
    """The inverse, with the height and width in `shape`: (N*H*W, F)  ->  (N, F, H, W)"""
    n, _, h, w = shape
    return logical(rows.reshape(n, h, w, -1))
