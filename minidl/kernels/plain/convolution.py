"""Convolution as a matrix product: every window of the image becomes a row of a matrix (im2col).

It is the simplest fast convolution, and runs on NumPy and CuPy alike. The price is memory: the matrix is KH * KW times
larger than the image. `cpu/convolution/` computes the same without it.

A 2x2 window over a 3x3 image, one channel, stride 1, no padding:

    x = 1 2 3        im2col = 1 2 4 5        row    = a position of the window (an output pixel)
        4 5 6                 2 3 5 6        column = a tap of the window
        7 8 9                 4 5 7 8
                              5 6 8 9

Index letters, here and in every backend: n image, c channel, f filter, (oy, ox) output pixel, (iy, ix) input pixel,
(ky, kx) tap of the window.
"""

from minidl.device import array_module
from minidl.kernels.plain.matmul import product


def windows(x, window):
    """Every window of x (N, C, H, W), as a view of the padded image: (N, OH, OW, C, KH, KW)"""
    xp = array_module(x)
    n, c, *size = x.shape
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    oh, ow = window.out(size)
    x = pad(x, window)
    image, channel, row, column = x.strides
    return xp.lib.stride_tricks.as_strided(
        x, (n, oh, ow, c, kh, kw), (image, sh * row, sw * column, channel, dh * row, dw * column))


def pad(x, window, value=0):
    """x with the window's padding, filled with `value`; x itself if there is no padding."""
    if not any(map(any, window.padding)):
        return x
    n, c, h, w = x.shape
    (top, _), (left, _) = window.padding
    out = array_module(x).full((n, c, *window.padded((h, w))), value, dtype=x.dtype)
    out[:, :, top:top + h, left:left + w] = x
    return out


def im2col(x, window):
    """The windows of x as the rows of a matrix.   x (N, C, H, W)  ->  (N*OH*OW, C*KH*KW)"""
    view = windows(x, window)
    n, oh, ow, c, kh, kw = view.shape
    return view.reshape(n * oh * ow, c * kh * kw)


def col2im(columns, shape, window):
    """The transpose of im2col: each element is added to the pixel that im2col copied it from.

    columns (N*OH*OW, C*KH*KW)  ->  (N, C, H, W) = shape
    """
    xp = array_module(columns)
    n, c, h, w = shape
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    (top, _), (left, _) = window.padding
    oh, ow = window.out((h, w))
    columns = columns.reshape(n, oh, ow, c, kh, kw)
    x = xp.zeros((n, c, *window.padded((h, w))), dtype=xp.float64)
    for ky in range(kh):                                                 # one tap at a time: its pixels are distinct
        for kx in range(kw):
            iy, ix = ky * dh, kx * dw                                    # of the first window
            x[:, :, iy:iy + sh * oh:sh, ix:ix + sw * ow:sw] += columns[..., ky, kx].transpose(0, 3, 1, 2)
    return x[:, :, top:top + h, left:left + w].astype(columns.dtype)


def conv2d(x, weight, bias, window, groups=1, relu=False):
    """out[n, f, oy, ox] = bias[f] + sum over c, ky, kx of x[n, c, oy*sh + ky*dh, ox*sw + kx*dw] * weight[f, c, ky, kx]

    x (N, C, H, W), padded; weight (F, C/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW), channels last in memory
    With `relu`, max(out, 0). Filters of group g see the channels of group g only.
    """
    out = array_module(x).concatenate([
        product(im2col(xg, window), wg.reshape(len(wg), -1).T)                   # (N*OH*OW, F/groups)
        for xg, wg in zip(split_channels(x, groups), split_filters(weight, groups), strict=True)
    ], axis=1)
    if bias is not None:
        out += bias
    if relu:
        out = array_module(out).maximum(out, 0)
    return as_image(out, len(x), window.out(x.shape[2:]))


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    """The gradient of conv2d by x.   grad (N, F, OH, OW), weight (F, C/groups, KH, KW)  ->  (N, C, H, W) = shape

    A `bias` (C,) is added to the result: the forward pass of a transposed convolution.
    """
    n, c, h, w = shape
    out = array_module(grad).concatenate([
        col2im(product(as_rows(gg), wg.reshape(len(wg), -1)), (n, c // groups, h, w), window)
        for gg, wg in zip(split_channels(grad, groups), split_filters(weight, groups), strict=True)
    ], axis=1)
    if bias is not None:
        out += bias[:, None, None]
    return out


def conv2d_weight_gradient(grad, x, window, groups=1):
    """The gradient of conv2d by its weight.   grad (N, F, OH, OW), x (N, C, H, W)  ->  (F, C/groups, KH, KW)"""
    c = x.shape[1] // groups
    return array_module(grad).concatenate([
        product(as_rows(gg).T, im2col(xg, window)).reshape(-1, c, *window.kernel)
        for gg, xg in zip(split_channels(grad, groups), split_channels(x, groups), strict=True)
    ])


def split_channels(x, groups):
    """The channels of x in `groups` equal parts."""
    size = x.shape[1] // groups
    return [x[:, g * size:(g + 1) * size] for g in range(groups)]


def split_filters(weight, groups):
    """The filters in `groups` equal parts."""
    size = len(weight) // groups
    return [weight[g * size:(g + 1) * size] for g in range(groups)]


def as_rows(x):
    """One row per pixel: (N, C, H, W)  ->  (N*H*W, C), without a copy if x is channels last in memory"""
    n, c, h, w = x.shape
    return x.transpose(0, 2, 3, 1).reshape(n * h * w, c)


def as_image(rows, n, size):
    """The inverse of as_rows: (N*H*W, C)  ->  (N, C, H, W), channels last in memory"""
    return rows.reshape(n, *size, rows.shape[1]).transpose(0, 3, 1, 2)
