"""Average pooling, channels last: a depthwise convolution whose weights are all the same number.

The mean of a whole image has an algorithm of its own: its pixels are rows of channels, and `llvm/reduce_columns.py`
sums them. Sums over many taps, of windows or of the windows over a pixel, are computed in float64.
"""

import math

import numpy as np

from minidl.kernels.cpu.convolution import depthwise
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.reduce_columns import BLOCK_ROWS, Rows, sum_columns
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import FEW, ceil_div, share

CHANNELS = 512                 # channels of an image that are summed at a time
BANDS = 4                      # bands of pixels into which the gradient of an image is cut


def avg_pool2d(x, window, share):
    if is_global(window, x.shape):
        n, c, h, w = x.shape
        out = empty((n, 1, 1, c), x.dtype)
        mean_pixels(channels_last(x).reshape(n, h * w, c), as_number(share), out.reshape(n, c))
        return logical(out)
    if math.prod(window.kernel) > FEW and x.dtype != np.float64:
        return avg_pool2d(x.astype(np.float64), window, share).astype(x.dtype)
    weight, share = constant_filters(x, x.shape[1], window, share)
    out = depthwise.conv2d(x, weight, None, window)
    return out if share is None else np.multiply(out, share, out=out)


def avg_pool2d_gradient(grad, shape, window, share):
    if is_global(window, shape):
        n, c, h, w = shape
        dx = empty((n, h, w, c), grad.dtype)
        broadcast_pixels(channels_last(grad).reshape(n, c), as_number(share), dx.reshape(n, h * w, c))
        return logical(dx)
    if math.prod(map(ceil_div, window.kernel, window.stride)) > FEW and grad.dtype != np.float64:
        return avg_pool2d_gradient(grad.astype(np.float64), shape, window, share).astype(grad.dtype)
    weight, share = constant_filters(grad, shape[1], window, share)
    return depthwise.conv2d_input_gradient(grad if share is None else grad * share, weight, shape, window)


def is_global(window, shape):
    """Whether the only window is the whole image."""
    return window.kernel == tuple(shape[2:]) and not any(map(any, window.padding))


def as_number(share):
    """The share of the only window."""
    return float(share.item() if isinstance(share, np.ndarray) else share)


def constant_filters(like, c, window, share):
    """Filters (C, 1, KH, KW) of equal weights; and an array by which to multiply outputs, or None if weights do it."""
    per_output = isinstance(share, np.ndarray)
    weight = np.asarray(1 if per_output else share, like.dtype)
    return np.broadcast_to(weight, (c, 1, *window.kernel)), share if per_output else None


@kernel
def mean_pixels(thread, threads, x, factor, out):
    """out = factor * the sum over the pixels of each image;   x (N, H*W, C), out (N, C)

    Blocks of pixels are summed in the array's own precision, and the block sums in float64.
    """
    n, pixels, c = x.shape
    size, parts = x.itemsize, ceil_div(c, CHANNELS)
    sums, totals = np.empty(CHANNELS, x.dtype), np.empty(CHANNELS)
    for unit in share(thread, threads, n * parts):
        image, first = unit // parts, unit % parts * CHANNELS
        count, source = min(CHANNELS, c - first), x.ctypes.data + (image * pixels * c + first) * size
        totals[:] = 0
        for pixel in range(0, pixels, BLOCK_ROWS):
            sums[:count] = 0
            rows = Rows(min(BLOCK_ROWS, pixels - pixel), c * size, count)
            sum_columns(x, rows, source + pixel * c * size, sums.ctypes.data)
            for k in range(count):
                totals[k] += sums[k]
        means = out[image, first:first + count]
        for k in range(count):
            means[k] = totals[k] * factor


@kernel
def broadcast_pixels(thread, threads, grad, factor, dx):
    """dx = factor * grad at every pixel of an image;   grad (N, C), dx (N, H*W, C)"""
    n, pixels, c = dx.shape
    for unit in share(thread, threads, n * BANDS):
        image, band = unit // BANDS, unit % BANDS
        row = grad[image] * grad.dtype.type(factor)
        for p in range(band * pixels // BANDS, (band + 1) * pixels // BANDS):
            for k in range(c):
                dx[image, p, k] = row[k]
