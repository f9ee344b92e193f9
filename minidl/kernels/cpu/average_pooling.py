"""Average pooling, channels last: a depthwise convolution with a filter that is the same number everywhere.

The mean of a whole image has a way of its own: the tile of such convolutions sums its pixels, a few vectors of channels
side by side.
"""

import numpy as np
from numba import prange

from minidl.kernels.cpu import depthwise
from minidl.kernels.cpu.compile import kernel
from minidl.kernels.cpu.geometry import remembered
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.target import VECTOR_BYTES
from minidl.kernels.cpu.window_tile import Form, make_tile

BLOCK = 64                     # pixels of an image that are summed in the array's own precision
BANDS = 4                      # parts of an image that a gradient is spread over
SUMS = [Form(1, places) for places in (8, 4, 2, 1)]            # vectors of channels side by side
sum_tile = make_tile(SUMS)


def avg_pool2d(x, window, share):
    """The sum of each window times `share`, a number or one for each place (OH, OW); padding counts as zeros.

    x (N, C, H, W)  ->  (N, C, OH, OW)
    It is depthwise convolution with a filter that is the same number everywhere, unless the window is the whole image.
    """
    if is_whole(window, x.shape):
        n, c, h, w = x.shape
        out, lanes = empty((n, 1, 1, c), x.dtype), VECTOR_BYTES // x.itemsize
        mean_pixels(channels_last(x).reshape(n, h * w, c), share_of_all(share), lanes,
                    runs_of_channels(c, lanes), out.reshape(n, c))
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


@remembered
def runs_of_channels(c, lanes):
    """The channels of a pixel in runs of a few vectors, each for one tile whose places are vectors side by side.

    int64 (runs, 4): the first channel, how many, the form, and how many channels there are to a place
    """
    runs, first = [], 0
    while first < c:
        places = next((form.places for form in SUMS if form.places * lanes <= c - first), 1)
        count = min(places * lanes, c - first)
        runs.append((first, count, SUMS.index(Form(1, places)), count // places))
        first += count
    return np.array(runs, np.int64).reshape(-1, 4)


def share_of_all(share):
    """The share of the only window, as a number."""
    return float(share.item() if isinstance(share, np.ndarray) else share)


def same_everywhere(like, c, window, share):
    """A filter (C, 1, KH, KW) of one number, and the share of each place, or None if that number is the share."""
    each = isinstance(share, np.ndarray)
    number = np.asarray(1 if each else share, like.dtype)
    return np.broadcast_to(number, (c, 1, *window.kernel)), share if each else None


@kernel
def mean_pixels(threads, x, share, lanes, runs, out):
    """out = share * the sum over the pixels of each image;   x (N, H*W, C), out (N, C)

    runs: of channels, as `runs_of_channels` tells. A tile sums a block of pixels, doubles sum the blocks.
    """
    n, pixels, c = x.shape
    size, units = x.itemsize, n * len(runs)
    vector = lanes * size
    for thread in prange(threads):
        ones, zeros = np.ones(lanes, x.dtype), np.zeros(lanes, x.dtype)
        sums, totals = np.empty(runs[0, 1], x.dtype), np.empty(runs[0, 1])               # the first run is the longest
        for unit in range(thread * units // threads, (thread + 1) * units // threads):
            first, count, form, channels = runs[unit % len(runs)]
            totals[:] = 0
            for pixel in range(0, pixels, BLOCK):
                source = x.ctypes.data + ((unit // len(runs) * pixels + pixel) * c + first) * size
                sum_tile(x, form, source, ones.ctypes.data, sums.ctypes.data, zeros.ctypes.data,
                         1, 1, min(BLOCK, pixels - pixel), (0, 0, c * size, 0, vector), (0, 0, 0, 0), (0, vector),
                         (0, 0), (count * size, 0), (0, 0, 0, 1), channels, 0)
                for k in range(count):
                    totals[k] += sums[k]
            means = out[unit // len(runs), first:first + count]
            for k in range(count):
                means[k] = totals[k] * share


@kernel
def spread(threads, grad, share, dx):
    """dx = share * grad, the same at each pixel of an image;   grad (N, C), dx (N, H*W, C)"""
    n, pixels, c = dx.shape
    share = grad.dtype.type(share)
    for unit in prange(n * BANDS):
        image = unit // BANDS
        row = grad[image] * share
        for p in range(unit % BANDS * pixels // BANDS, (unit % BANDS + 1) * pixels // BANDS):
            for k in range(c):
                dx[image, p, k] = row[k]
