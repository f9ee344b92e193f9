"""Pooling, channels last: all channels of a pixel at once.

The backward passes go image by image, each by one thread, in a fixed order: windows may overlap, and the sums come out
the same for any number of threads.
"""

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.memory import empty


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

    A maximum is separable: `tall` is that of the window's rows, for all columns of the padded image at once, and `wide`
    is that of `tall` and its right neighbours, at every column; only then are the columns picked where windows begin.
    So all arithmetic runs along rows of memory, whatever the number of channels.
    """
    n, oh, length = out.shape
    _, h, width = x.shape
    left, apart, step = pad[1] * c, dilation[1] * c, stride[1] * c
    begins = np.empty(length, np.uint64)                                 # where in `wide` each window begins
    for e in range(length):
        begins[e] = e // c * step + e % c
    for thread in prange(threads):
        span = (length // c - 1) * step + c                              # from the first window's start past the last's
        size = max(left + width, span + (kernel[1] - 1) * apart)
        tall, tall_row = np.empty(size, x.dtype), np.empty(size, np.int32)
        wide, wide_place = np.empty(span, x.dtype), np.empty(span, np.int32)
        for row in range(thread * n * oh // threads, (thread + 1) * n * oh // threads):
            image, oy = row // oh, row % oh
            for e in range(len(tall)):
                tall[e] = -np.inf
                tall_row[e] = 0
            best, best_row = tall[left:left + width], tall_row[left:left + width]
            for i in range(kernel[0]):
                y = oy * stride[0] + i * dilation[0] - pad[0]
                if 0 <= y < h:
                    for e in range(width):
                        better = exceeds(x[image, y, e], best[e])
                        best[e] = x[image, y, e] if better else best[e]
                        best_row[e] = i if better else best_row[e]
            for e in range(span):
                wide[e] = tall[e]
                wide_place[e] = tall_row[e] * kernel[1]
            for j in range(1, kernel[1]):
                other, other_row = tall[j * apart:], tall_row[j * apart:]
                for e in range(span):
                    here = other_row[e] * kernel[1] + j
                    better = exceeds(other[e], wide[e]) | ((here < wide_place[e]) & (not exceeds(wide[e], other[e])))
                    wide[e] = other[e] if better else wide[e]
                    wide_place[e] = here if better else wide_place[e]
            for e in range(length):
                out[image, oy, e] = wide[begins[e]]
                place[image, oy, e] = wide_place[begins[e]]


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
    left, apart, step = pad[1] * c, dilation[1] * c, stride[1] * c
    share = x.dtype.type(1) / x.dtype.type(kernel[0] * kernel[1])
    for thread in prange(threads):
        span = (length // c - 1) * step + c                              # from the first window's start past the last's
        tall = np.empty(max(left + width, span + (kernel[1] - 1) * apart), x.dtype)
        wide = np.empty(span, x.dtype)
        for row in range(thread * n * oh // threads, (thread + 1) * n * oh // threads):
            image, oy = row // oh, row % oh
            for e in range(len(tall)):
                tall[e] = 0
            sums = tall[left:left + width]
            for i in range(kernel[0]):
                y = oy * stride[0] + i * dilation[0] - pad[0]
                if 0 <= y < h:
                    for e in range(width):
                        sums[e] += x[image, y, e]
            for e in range(span):
                wide[e] = 0
            for j in range(kernel[1]):
                other = tall[j * apart:]
                for e in range(span):
                    wide[e] += other[e] * share
            for ox in range(length // c):
                for k in range(c):
                    out[image, oy, ox * c + k] = wide[ox * step + k]


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
