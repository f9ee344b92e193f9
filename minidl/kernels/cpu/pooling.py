"""Pooling, channels last: all channels of a pixel at once.

The backward passes go image by image, each by one thread, in a fixed order: windows may overlap, and the sums come out
the same for any number of threads.
"""

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.memory import empty

FEW = 16           # fewer channels than this don't fill a vector well enough to pay for setting out


def max_pool2d(x, window):
    """The largest element of each window, and where in the window it was (i * KW + j, the first if several).

    x (N, C, H, W)  ->  (N, C, OH, OW), uint8 or uint16 (N, C, OH, OW). NaN counts as larger than every number.
    """
    kh, kw = window.kernel
    x = channels_last(x)
    n, h, w, c = x.shape
    out = empty((n, *window.out((h, w)), c), x.dtype)
    place = empty(out.shape, np.uint8 if kh * kw <= 256 else np.uint16)
    max_forward(by_row(x), c, *geometry(window), by_row(out), by_row(place))
    return logical(out), logical(place)


def max_pool2d_gradient(grad, place, shape, window):
    """Each gradient goes to the element that won its window.   grad, place (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    n, c, h, w = shape
    dx = empty((n, h, w, c), grad.dtype)
    max_backward(channels_last(grad), channels_last(place), *geometry(window), dx)
    return logical(dx)


def avg_pool2d(x, window):
    """The sum of each window divided by KH * KW; padding counts as zeros.   x (N, C, H, W)  ->  (N, C, OH, OW)"""
    x = channels_last(x)
    n, h, w, c = x.shape
    out = empty((n, *window.out((h, w)), c), x.dtype)
    avg_forward(by_row(x), c, *geometry(window), by_row(out))
    return logical(out)


def avg_pool2d_gradient(grad, shape, window):
    """Each gradient is shared equally by its window.   grad (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    n, c, h, w = shape
    dx = empty((n, h, w, c), grad.dtype)
    avg_backward(channels_last(grad), *geometry(window), dx)
    return logical(dx)


def by_row(x):
    """(N, H, W, C) as (N, H, W*C)."""
    n, h, w, c = x.shape
    return x.reshape(n, h, w * c)


def geometry(window):
    """What the loops below need of a window: kernel, stride, dilation, top and left padding."""
    (top, _), (left, _) = window.padding
    return window.kernel, window.stride, window.dilation, (top, left)


@kernel
def max_forward(threads, x, c, kernel, stride, dilation, pad, out, place):
    """out = the maximum of each window, place = where it was;   x (N, H, W*C), out and place (N, OH, OW*C)

    A maximum is separable: first that of the window's rows, for all columns of the image at once, then that of its
    columns, for all channels at once if there are enough of them to fill vectors.
    """
    n, oh, _ = out.shape
    _, h, width = x.shape
    for thread in prange(threads):
        tall, tall_row = np.empty(width, x.dtype), np.empty(width, np.int32)
        for row in range(thread * n * oh // threads, (thread + 1) * n * oh // threads):
            image, oy = row // oh, row % oh
            for e in range(width):
                tall[e] = -np.inf
                tall_row[e] = 0
            for i in range(kernel[0]):
                y = oy * stride[0] + i * dilation[0] - pad[0]
                if 0 <= y < h:
                    for e in range(width):
                        better = exceeds(x[image, y, e], tall[e])
                        tall[e] = x[image, y, e] if better else tall[e]
                        tall_row[e] = i if better else tall_row[e]
            if c < FEW:
                max_few(tall, tall_row, c, kernel, stride[1], dilation[1], pad[1], out[image, oy], place[image, oy])
            else:
                max_many(tall, tall_row, c, kernel, stride[1], dilation[1], pad[1], out[image, oy], place[image, oy])


@inner
def max_few(tall, tall_row, c, kernel, stride, dilation, pad, best, place):
    """The maximum over each window's columns, one channel at a time."""
    w = len(tall) // c
    for ox in range(len(best) // c):
        for k in range(c):
            value, found = tall.dtype.type(-np.inf), np.int32(kernel[0] * kernel[1] - 1)
            for j in range(kernel[1]):
                z = ox * stride + j * dilation - pad
                if 0 <= z < w:
                    other, here = tall[z * c + k], np.int32(tall_row[z * c + k] * kernel[1] + j)
                    better = exceeds(other, value) | ((here < found) & (not exceeds(value, other)))
                    value = other if better else value
                    found = here if better else found
            best[ox * c + k] = value
            place[ox * c + k] = found


@inner
def max_many(tall, tall_row, c, kernel, stride, dilation, pad, best, place):
    """The same, all channels of a pixel at a time."""
    w = len(tall) // c
    for e in range(len(best)):
        best[e] = -np.inf
        place[e] = kernel[0] * kernel[1] - 1
    for ox in range(len(best) // c):
        for j in range(kernel[1]):
            z = ox * stride + j * dilation - pad
            if 0 <= z < w:
                value, found = best[ox * c:(ox + 1) * c], place[ox * c:(ox + 1) * c]
                other, rows = tall[z * c:(z + 1) * c], tall_row[z * c:(z + 1) * c]
                for k in range(c):
                    here = rows[k] * kernel[1] + j
                    better = exceeds(other[k], value[k]) | ((here < found[k]) & (not exceeds(value[k], other[k])))
                    value[k] = other[k] if better else value[k]
                    found[k] = here if better else found[k]


@inner
def exceeds(a, b):
    """a > b, where NaN exceeds every number."""
    return (not b >= a) & (b == b)


@kernel
def max_backward(threads, grad, place, kernel, stride, dilation, pad, dx):
    """dx[where the maximum was] += grad"""
    n, oh, ow, c = grad.shape
    _, h, w, _ = dx.shape
    distances = np.empty(kernel[0] * kernel[1], np.int64)          # from the window's first pixel, in elements
    for i in range(len(distances)):
        distances[i] = (i // kernel[1] * dilation[0] * w + i % kernel[1] * dilation[1]) * c
    for image in prange(n):
        flat = dx[image].reshape(h * w * c)
        flat[:] = 0
        for oy in range(oh):
            for ox in range(ow):
                first = ((oy * stride[0] - pad[0]) * w + ox * stride[1] - pad[1]) * c
                grads, where = grad[image, oy, ox], place[image, oy, ox]
                for k in range(c):
                    at = first + distances[where[k]] + k
                    if 0 <= at < len(flat):                        # a window may lie in the padding altogether
                        flat[at] += grads[k]


@kernel
def avg_forward(threads, x, c, kernel, stride, dilation, pad, out):
    """out = the mean of each window: sums over its rows, then over its columns;   x (N, H, W*C), out (N, OH, OW*C)"""
    n, oh, length = out.shape
    _, h, width = x.shape
    w, share = width // c, x.dtype.type(1) / x.dtype.type(kernel[0] * kernel[1])
    for thread in prange(threads):
        tall = np.empty(width, x.dtype)
        for row in range(thread * n * oh // threads, (thread + 1) * n * oh // threads):
            image, oy = row // oh, row % oh
            for e in range(width):
                tall[e] = 0
            for i in range(kernel[0]):
                y = oy * stride[0] + i * dilation[0] - pad[0]
                if 0 <= y < h:
                    for e in range(width):
                        tall[e] += x[image, y, e]
            for e in range(length):
                out[image, oy, e] = 0
            for ox in range(length // c):
                for j in range(kernel[1]):
                    z = ox * stride[1] + j * dilation[1] - pad[1]
                    if 0 <= z < w:
                        sums, values = out[image, oy, ox * c:(ox + 1) * c], tall[z * c:(z + 1) * c]
                        for k in range(c):
                            sums[k] += values[k] * share


@kernel
def avg_backward(threads, grad, kernel, stride, dilation, pad, dx):
    """dx += each window's share of its grad"""
    n, oh, ow, c = grad.shape
    _, h, w, _ = dx.shape
    share = grad.dtype.type(1) / grad.dtype.type(kernel[0] * kernel[1])
    for image in prange(n):
        dx[image] = 0
        for oy in range(oh):
            for ox in range(ow):
                grads = grad[image, oy, ox]
                for i in range(kernel[0]):
                    y = oy * stride[0] + i * dilation[0] - pad[0]
                    for j in range(kernel[1]):
                        z = ox * stride[1] + j * dilation[1] - pad[1]
                        if 0 <= y < h and 0 <= z < w:
                            sums = dx[image, y, z]
                            for k in range(c):
                                sums[k] += grads[k] * share
