"""Average pooling, channels last: a depthwise convolution with a filter that is the same number everywhere.

The mean of a whole image has a way of its own: its pixels are rows of channels, and summed as such (`column_sums.py`).
"""

import numpy as np

from minidl.kernels.cpu.convolution import depthwise
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.reduce_columns import sum_columns
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty

BLOCK = 64                     # pixels of an image that are summed in the array's own precision
CHANNELS = 512                 # of an image that are summed at a time
BANDS = 4                      # parts of an image that a gradient is spread over


def avg_pool2d(x, window, share):
    """The sum of each window times `share`, a number or one for each place (OH, OW); padding counts as zeros.

    x (N, C, H, W)  ->  (N, C, OH, OW)
    It is depthwise convolution with a filter that is the same number everywhere, unless the window is the whole image.
    """
    if is_whole(window, x.shape):
        n, c, h, w = x.shape
        out = empty((n, 1, 1, c), x.dtype)
        mean_pixels(channels_last(x).reshape(n, h * w, c), share_of_all(share), out.reshape(n, c))
        return logical(out)
    weight, share = same_everywhere(x, x.shape[1], window, share)
    out = depthwise.conv2d(x, weight, None, window)
    return out if share is None else np.multiply(out, share, out=out)


def avg_pool2d_gradient(grad, shape, window, share):
    """Each gradient times its share goes to all of its window.   grad (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    if is_whole(window, shape):
        n, c, h, w = shape
        dx = empty((n, h, w, c), grad.dtype)
        spread(channels_last(grad).reshape(n, c), share_of_all(share), dx.reshape(n, h * w, c))
        return logical(dx)
    weight, share = same_everywhere(grad, shape[1], window, share)
    return depthwise.conv2d_input_gradient(grad if share is None else grad * share, weight, shape, window)


def is_whole(window, shape):
    """Whether the only window is the whole image."""
    return window.kernel == tuple(shape[2:]) and not any(map(any, window.padding))


def share_of_all(share):
    """The share of the only window, as a number."""
    return float(share.item() if isinstance(share, np.ndarray) else share)


def same_everywhere(like, c, window, share):
    """A filter (C, 1, KH, KW) of one number, and the share of each place, or None if that number is the share."""
    each = isinstance(share, np.ndarray)
    number = np.asarray(1 if each else share, like.dtype)
    return np.broadcast_to(number, (c, 1, *window.kernel)), share if each else None


@kernel
def mean_pixels(thread, threads, x, share, out):
    """out = share * the sum over the pixels of each image;   x (N, H*W, C), out (N, C)

    A block of pixels is summed in registers, doubles sum the blocks.
    """
    n, pixels, c = x.shape
    size, parts = x.itemsize, (c + CHANNELS - 1) // CHANNELS
    units = n * parts
    sums, totals = np.empty(CHANNELS, x.dtype), np.empty(CHANNELS)
    for unit in range(thread * units // threads, (thread + 1) * units // threads):
        image, first = unit // parts, unit % parts * CHANNELS
        count, source = min(CHANNELS, c - first), x.ctypes.data + (image * pixels * c + first) * size
        totals[:] = 0
        for pixel in range(0, pixels, BLOCK):
            sums[:count] = 0
            sum_columns(x, min(BLOCK, pixels - pixel), c * size, count, source + pixel * c * size,
                        sums.ctypes.data)
            for k in range(count):
                totals[k] += sums[k]
        means = out[image, first:first + count]
        for k in range(count):
            means[k] = totals[k] * share


@kernel
def spread(thread, threads, grad, share, dx):
    """dx = share * grad, the same at each pixel of an image;   grad (N, C), dx (N, H*W, C)"""
    n, pixels, c = dx.shape
    share = grad.dtype.type(share)
    for unit in share(thread, threads, n * BANDS):
        image = unit // BANDS
        row = grad[image] * share
        for p in range(unit % BANDS * pixels // BANDS, (unit % BANDS + 1) * pixels // BANDS):
            for k in range(c):
                dx[image, p, k] = row[k]
