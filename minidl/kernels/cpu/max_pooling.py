"""Max pooling, channels last.

It has two ways. With many channels it goes pixel by pixel, vectors of channels at a time, by the tiles of
`pool_tile.py`; with few it goes by whole rows of memory, whatever is a pixel in them. Gradients of overlapping windows
meet in a fixed order, and the sums come out the same for any number of threads.
"""

import math

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.convolution import depthwise
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.pooling_microkernel import NOWHERE, loser_tile, max_tile, winner_tile
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share

MANY, MANY_BACK = 6, 32        # channels from which on going pixel by pixel is faster, there and back


def max_pool2d(x, window, relu=False):
    """The largest element of each window, and where in the window it was (i * KW + j, the first if several).

    x (N, C, H, W)  ->  (N, C, OH, OW), uint8 or uint16 (N, C, OH, OW). NaN counts as larger than every number.
    With `relu`, max(out, 0); where no element is larger than 0, the place is the largest number of its type.
    """
    taps = math.prod(window.kernel)
    x = channels_last(x)
    n, h, w, c = x.shape
    out = empty((n, *window.out((h, w)), c), x.dtype)
    place = empty(out.shape, np.uint8 if taps <= NOWHERE else np.uint16)
    if c >= MANY and taps <= NOWHERE:
        down, across = depthwise.axes(window, (h, w))
        max_by_pixel(x, depthwise.reached(*down), depthwise.reached(*across), window.dilation, window.kernel[1],
                     int(relu), out, place)
    else:
        max_forward(by_row(x), c, *geometry(window), int(relu), by_row(out), by_row(place))
    return logical(out), logical(place)


def max_pool2d_gradient(grad, place, shape, window):
    """Each gradient goes to the element that won its window.   grad, place (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    if place.dtype != np.uint8:
        return plain.max_pool2d_gradient(grad, place, shape, window)
    n, c, h, w = shape
    dx = empty((n, h, w, c), grad.dtype)
    grad, place = channels_last(grad), channels_last(place)
    if window.side_by_side((h, w)):
        max_gradient_by_window(grad, place, window.kernel, dx)
    elif c < MANY_BACK and not any(map(any, window.padding)):     # a window of nothing but -inf may name the padding
        max_backward(grad, place, *window[:2], window.dilation, dx)
    else:
        down, across = depthwise.axes(window, (h, w))
        apart, taps_apart = depthwise.reaching_steps(window)
        max_gradient_by_pixel(grad, place, depthwise.reaching(*down), depthwise.reaching(*across), apart, taps_apart,
                              window.kernel, dx)
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
def max_forward(thread, threads, x, c, kernel, stride, dilation, pad, relu, out, place):
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
            nowhere = relu != 0 and wide[begins[e]] <= 0
            out[image, oy, e] = 0 if nowhere else wide[begins[e]]
            place[image, oy, e] = 256 ** place.itemsize - 1 if nowhere else wide_place[begins[e]]


@kernel
def max_by_pixel(thread, threads, x, rows, columns, dilation, kw, relu, out, place):
    """The same pixel by pixel, for many channels;   x (N, H, W, C), out and place (N, OH, OW, C)

    rows, columns: the taps of each window that meet the image, as `depthwise.reached` tells
    """
    _, h, w, c = x.shape
    n, oh, ow, _ = out.shape
    pixel = c * x.itemsize
    steps = (dilation[0] * w * pixel, dilation[1] * pixel)
    for line in share(thread, threads, n * oh):
        i, i_taps, y = rows[line % oh]
        for ox in range(ow):
            j, j_taps, z = columns[ox]
            target = line * ow + ox
            max_tile(x, x.ctypes.data + ((line // oh * h + y) * w + z) * pixel, out.ctypes.data + target * pixel,
                     place.ctypes.data + target * c, i_taps, j_taps, i * kw + j, steps, (kw, 1), c, relu)


@inner
def exceeds(a, b):
    """a > b, where NaN exceeds every number."""
    return (not b >= a) & (b == b)


@kernel
def max_backward(thread, threads, grad, place, kernel, stride, dilation, dx):
    """dx[where the maximum was] += grad, for windows that lie inside the image altogether"""
    n, oh, ow, c = grad.shape
    _, h, w, _ = dx.shape
    distances = np.full(NOWHERE + 1, -dx.size)                     # from the window's first pixel, in elements
    for i in range(kernel[0] * kernel[1]):
        distances[i] = (i // kernel[1] * dilation[0] * w + i % kernel[1] * dilation[1]) * c
    for image in share(thread, threads, n):
        flat = dx[image].reshape(h * w * c)
        flat[:] = 0
        for oy in range(oh):
            for ox in range(ow):
                first = (oy * stride[0] * w + ox * stride[1]) * c
                grads, where = grad[image, oy, ox], place[image, oy, ox]
                for k in range(c):
                    at = first + distances[where[k]] + k
                    if 0 <= at < len(flat):                        # unless it was nowhere
                        flat[at] += grads[k]


@kernel
def max_gradient_by_window(thread, threads, grad, place, kernel, dx):
    """dx = grad where the maximum was, and 0 elsewhere, for windows that share no pixel and leave none out"""
    n, oh, ow, c = grad.shape
    kh, kw = kernel
    pixel = c * grad.itemsize
    for line in share(thread, threads, n * oh):
        for ox in range(ow):
            source = line * ow + ox
            loser_tile(grad, grad.ctypes.data + source * pixel, place.ctypes.data + source * c,
                       dx.ctypes.data + (line * kh * ow + ox) * kw * pixel, kh, kw, (ow * kw * pixel, pixel), c)


@kernel
def max_gradient_by_pixel(thread, threads, grad, place, rows, columns, apart, taps_apart, kernel, dx):
    """dx = the sum of grad over the windows that it won, pixel by pixel, for many channels

    rows, columns: the windows that meet each pixel, as `depthwise.reaching` tells: its taps count from the far end
    """
    _, oh, ow, c = grad.shape
    n, h, w, _ = dx.shape
    pixel = c * grad.itemsize
    kh, kw = kernel
    grad_steps, place_steps = (apart[0] * ow * pixel, apart[1] * pixel), (apart[0] * ow * c, apart[1] * c)
    for line in share(thread, threads, n * h):
        i, i_taps, oy = rows[line % h]
        for z in range(w):
            j, j_taps, ox = columns[z]
            source = (line // h * oh + oy) * ow + ox
            winner_tile(grad, grad.ctypes.data + source * pixel, place.ctypes.data + source * c,
                        dx.ctypes.data + (line * w + z) * pixel, i_taps, j_taps, (kh - 1 - i) * kw + kw - 1 - j,
                        grad_steps, place_steps, (-taps_apart[0] * kw, -taps_apart[1]), c)
