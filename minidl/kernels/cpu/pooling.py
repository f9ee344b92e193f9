"""Pooling, channels last: all channels of a pixel at once.

The backward passes go image by image, each by one thread, in a fixed order: windows may overlap, and the sums come out
the same for any number of threads.
"""

import numpy as np
from numba import prange

from minidl.kernels.cpu.compile import inner, kernel
from minidl.kernels.cpu.layout import channels_last, logical


def max_pool2d(x, window):
    """The largest element of each window, and where in the window it was (i * KW + j, the first if several).

    x (N, C, H, W)  ->  (N, C, OH, OW), uint8 or uint16 (N, C, OH, OW). NaN counts as larger than every number.
    """
    kh, kw = window.kernel
    x = channels_last(x)
    n, h, w, c = x.shape
    out = np.empty((n, *window.out((h, w)), c), x.dtype)
    place = np.empty(out.shape, np.uint8 if kh * kw <= 256 else np.uint16)
    max_forward(x, *geometry(window), out, place)
    return logical(out), logical(place)


def max_pool2d_gradient(grad, place, shape, window):
    """Each gradient goes to the element that won its window.   grad, place (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    n, c, h, w = shape
    dx = np.empty((n, h, w, c), grad.dtype)
    max_backward(channels_last(grad), channels_last(place), *geometry(window), dx)
    return logical(dx)


def avg_pool2d(x, window):
    """The sum of each window divided by KH * KW; padding counts as zeros.   x (N, C, H, W)  ->  (N, C, OH, OW)"""
    x = channels_last(x)
    n, h, w, c = x.shape
    out = np.empty((n, *window.out((h, w)), c), x.dtype)
    avg_forward(x, *geometry(window), out)
    return logical(out)


def avg_pool2d_gradient(grad, shape, window):
    """Each gradient is shared equally by its window.   grad (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    n, c, h, w = shape
    dx = np.empty((n, h, w, c), grad.dtype)
    avg_backward(channels_last(grad), *geometry(window), dx)
    return logical(dx)


def geometry(window):
    """What the loops below need of a window: kernel, stride, dilation, top and left padding."""
    (top, _), (left, _) = window.padding
    return window.kernel, window.stride, window.dilation, (top, left)


@inner
def pixel(o, i, stride, dilation, pad):
    """Where place i of window o lies along one axis of the image; outside, if the padding is there."""
    return o * stride + i * dilation - pad


@kernel
def max_forward(threads, x, kernel, stride, dilation, pad, out, place):
    """out = the maximum of each window, place = where it was"""
    n, oh, ow, c = out.shape
    _, h, w, _ = x.shape
    for row in prange(n * oh):
        image, oy = row // oh, row % oh
        for ox in range(ow):
            best, where = out[image, oy, ox], place[image, oy, ox]
            best[:] = -np.inf
            where[:] = 0
            fresh = True
            for i in range(kernel[0]):
                y = pixel(oy, i, stride[0], dilation[0], pad[0])
                if y < 0 or y >= h:
                    continue
                for j in range(kernel[1]):
                    z = pixel(ox, j, stride[1], dilation[1], pad[1])
                    if z < 0 or z >= w:
                        continue
                    values, here = x[image, y, z], i * kernel[1] + j
                    if fresh:
                        for k in range(c):
                            best[k] = values[k]
                            where[k] = here
                        fresh = False
                        continue
                    for k in range(c):
                        value, so_far = values[k], best[k]
                        if value > so_far or (value != value and so_far == so_far):
                            best[k] = value
                            where[k] = here


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
def avg_forward(threads, x, kernel, stride, dilation, pad, out):
    """out = the mean of each window"""
    n, oh, ow, c = out.shape
    _, h, w, _ = x.shape
    share = x.dtype.type(1) / x.dtype.type(kernel[0] * kernel[1])
    for row in prange(n * oh):
        image, oy = row // oh, row % oh
        for ox in range(ow):
            mean = out[image, oy, ox]
            mean[:] = 0
            for i in range(kernel[0]):
                y = pixel(oy, i, stride[0], dilation[0], pad[0])
                if y < 0 or y >= h:
                    continue
                for j in range(kernel[1]):
                    z = pixel(ox, j, stride[1], dilation[1], pad[1])
                    if z < 0 or z >= w:
                        continue
                    values = x[image, y, z]
                    for k in range(c):
                        mean[k] += values[k]
            for k in range(c):
                mean[k] *= share


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
                    y = pixel(oy, i, stride[0], dilation[0], pad[0])
                    if y < 0 or y >= h:
                        continue
                    for j in range(kernel[1]):
                        z = pixel(ox, j, stride[1], dilation[1], pad[1])
                        if z < 0 or z >= w:
                            continue
                        sums = dx[image, y, z]
                        for k in range(c):
                            sums[k] += grads[k] * share
