"""Max pooling, channels last, with two algorithms.

With many channels it goes pixel by pixel, a vector of channels at a time, by `llvm/pooling_microkernel.py`. With few it
goes along whole rows of memory, across pixels. The gradients of overlapping windows are added in a fixed order, so that
the sums do not depend on the number of threads. Where many windows share a pixel, they are computed in float64.
"""

import math

import numpy as np

from minidl.kernels import plain
from minidl.kernels.cpu.convolution.tap_tables import axes, input_steps, taps_per_input, taps_per_output
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.pooling_microkernel import (
    NO_TAP,
    Box,
    Pair,
    TapNumbers,
    gather_tile,
    max_tile,
    scatter_tile,
)
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import FEW, ceil_div, share

MANY_CHANNELS, MANY_CHANNELS_BACKWARD = 6, 32        # channels from which going pixel by pixel is faster


def max_pool2d(x, window, relu=False):
    taps = math.prod(window.kernel)
    x = channels_last(x)
    n, h, w, c = x.shape
    out = empty((n, *window.out((h, w)), c), x.dtype)
    winner = empty(out.shape, np.uint8 if taps <= NO_TAP else np.uint16)
    if c >= MANY_CHANNELS and taps <= NO_TAP:
        rows, columns = axes(window, (h, w))
        max_by_pixel(x, window, taps_per_output(rows), taps_per_output(columns), int(relu), out, winner)
    else:
        max_by_row(row_by_row(x), c, window, int(relu), row_by_row(out), row_by_row(winner))
    return logical(out), logical(winner)


def max_pool2d_gradient(grad, winner, shape, window):
    if winner.dtype != np.uint8:
        return plain.max_pool2d_gradient(grad, winner, shape, window)
    if math.prod(map(ceil_div, window.kernel, window.stride)) > FEW and grad.dtype != np.float64:
        return max_pool2d_gradient(grad.astype(np.float64), winner, shape, window).astype(grad.dtype)
    n, c, h, w = shape
    dx = empty((n, h, w, c), grad.dtype)
    grad, winner = channels_last(grad), channels_last(winner)
    if window.disjoint:
        scatter_gradient(grad, winner, window.kernel, dx)
    elif c < MANY_CHANNELS_BACKWARD and not any(map(any, window.padding)):   # see add_gradient
        add_gradient(grad, winner, window, dx)
    else:
        rows, columns = axes(window, (h, w))
        gather_gradient(grad, winner, taps_per_input(rows), taps_per_input(columns),
                        (input_steps(rows), input_steps(columns)), window.kernel, dx)
    return logical(dx)


def row_by_row(x):
    """(N, H, W, C) as (N, H, W*C)"""
    n, h, w, c = x.shape
    return x.reshape(n, h, w * c)


@kernel
def max_by_row(thread, threads, x, c, window, relu, out, winner):
    """out = the maximum of each window, winner = its tap;   x (N, H, W*C), out and winner (N, OH, OW*C)

    The maximum is separable. `tall` is the maximum over the window's rows, for all columns of the padded image at once.
    `wide` is that of `tall` over the window's columns, at every column; only then are the window positions picked. So
    all arithmetic runs along rows of memory, for any number of channels.
    """
    n, oh, length = out.shape
    _, h, width = x.shape
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    top, left, tap_step, window_step = window.padding[0][0], window.padding[1][0] * c, dw * c, sw * c
    begins = np.empty(length, np.uint64)                             # where in `wide` each window begins
    for e in range(length):
        begins[e] = e // c * window_step + e % c
    span = (length // c - 1) * window_step + c                       # from the first position to the last one's end
    size = max(left + width, span + (kw - 1) * tap_step)
    tall, tall_ky = np.empty(size, x.dtype), np.empty(size, np.int32)
    wide, wide_tap = np.empty(span, x.dtype), np.empty(span, np.int32)
    for row in share(thread, threads, n * oh):
        image, oy = row // oh, row % oh
        for e in range(len(tall)):
            tall[e] = -np.inf
            tall_ky[e] = kh                                          # padding: of equal elements, it comes last
        best, best_ky = tall[left:left + width], tall_ky[left:left + width]
        first_ky = max(0, ceil_div(top - oy * sh, dh))
        first_ky = first_ky if first_ky < kh and oy * sh + first_ky * dh - top < h else 0
        best_ky[:] = first_ky                                        # the first row inside the image
        for ky in range(kh):
            iy = oy * sh + ky * dh - top
            if 0 <= iy < h:
                for e in range(width):
                    better = exceeds(x[image, iy, e], best[e])
                    best[e] = x[image, iy, e] if better else best[e]
                    best_ky[e] = ky if better else best_ky[e]
        for e in range(span):
            wide[e] = tall[e]
            wide_tap[e] = tall_ky[e] * kw
        for kx in range(1, kw):
            other, other_ky = tall[kx * tap_step:], tall_ky[kx * tap_step:]
            for e in range(span):
                tap = other_ky[e] * kw + kx
                better = exceeds(other[e], wide[e]) | ((tap < wide_tap[e]) & (not exceeds(wide[e], other[e])))
                wide[e] = other[e] if better else wide[e]
                wide_tap[e] = tap if better else wide_tap[e]
        for e in range(length):
            rectified = relu != 0 and wide[begins[e]] <= 0
            out[image, oy, e] = 0 if rectified else wide[begins[e]]
            tap = wide_tap[begins[e]] if wide_tap[begins[e]] < kh * kw else first_ky * kw
            winner[image, oy, e] = 256 ** winner.itemsize - 1 if rectified else tap


@inner
def exceeds(a, b):
    """a > b, where NaN exceeds every number."""
    return (not b >= a) & (b == b)


@kernel
def max_by_pixel(thread, threads, x, window, rows, columns, relu, out, winner):
    """As `max_by_row`, but pixel by pixel;   x (N, H, W, C), out and winner (N, OH, OW, C)

    rows, columns: `taps_per_output`
    """
    _, h, w, c = x.shape
    n, oh, ow, _ = out.shape
    pixel, kw, (dh, dw) = c * x.itemsize, window.kernel[1], window.dilation
    strides = Pair(dh * w * pixel, dw * pixel)
    for row in share(thread, threads, n * oh):
        down = rows[row % oh]
        source = x.ctypes.data + (row // oh * h + down.source) * w * pixel
        for ox in range(ow):
            across, target = columns[ox], row * ow + ox
            max_tile(x, source + across.source * pixel, out.ctypes.data + target * pixel,
                     winner.ctypes.data + target * c, Box(down.count, across.count), strides,
                     TapNumbers(down.tap * kw + across.tap, kw, 1), c, relu)


@kernel
def add_gradient(thread, threads, grad, winner, window, dx):
    """dx[winner] += grad, window by window, for windows without padding"""
    n, oh, ow, c = grad.shape
    _, h, w, _ = dx.shape
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    offsets = np.full(NO_TAP + 1, -dx.size)                          # of the taps from the window's first, in elements
    for tap in range(kh * kw):
        offsets[tap] = (tap // kw * dh * w + tap % kw * dw) * c
    for image in share(thread, threads, n):
        flat = dx[image].reshape(h * w * c)
        flat[:] = 0
        for oy in range(oh):
            for ox in range(ow):
                first = (oy * sh * w + ox * sw) * c
                grads, taps = grad[image, oy, ox], winner[image, oy, ox]
                for k in range(c):
                    at = first + offsets[taps[k]] + k
                    if 0 <= at < len(flat):                          # else there is no winner
                        flat[at] += grads[k]


@kernel
def scatter_gradient(thread, threads, grad, winner, kernel, dx):
    """dx = grad at the winner and 0 elsewhere, for windows side by side

    A work unit is a row of windows, or the pixels of an image below the last one.
    """
    _, oh, ow, c = grad.shape
    n, h, w, _ = dx.shape
    (kh, kw), pixel = kernel, c * grad.itemsize
    for unit in share(thread, threads, n * (oh + 1)):
        image, oy = unit // (oh + 1), unit % (oh + 1)
        dx[image, oy * kh:h if oy == oh else (oy + 1) * kh, (0 if oy == oh else ow * kw):] = 0
        if oy < oh:
            for ox in range(ow):
                source = (image * oh + oy) * ow + ox
                scatter_tile(grad, grad.ctypes.data + source * pixel, winner.ctypes.data + source * c,
                             dx.ctypes.data + ((image * h + oy * kh) * w + ox * kw) * pixel, Box(kh, kw),
                             Pair(w * pixel, pixel), c)


@kernel
def gather_gradient(thread, threads, grad, winner, rows, columns, steps, kernel, dx):
    """dx = the sum of grad over the windows that each pixel won, pixel by pixel

    rows, columns: `taps_per_input`, which count taps from the window's far end;  steps: the `input_steps` of both
    """
    _, oh, ow, c = grad.shape
    n, h, w, _ = dx.shape
    (kh, kw), pixel = kernel, c * grad.itemsize
    (down_step, down_tap), (across_step, across_tap) = steps
    strides = Pair(down_step * ow * pixel, across_step * pixel)
    winner_strides = Pair(down_step * ow * c, across_step * c)
    for row in share(thread, threads, n * h):
        down = rows[row % h]
        for ix in range(w):
            across = columns[ix]
            source = (row // h * oh + down.source) * ow + across.source
            taps = TapNumbers((kh - 1 - down.tap) * kw + kw - 1 - across.tap, -down_tap * kw, -across_tap)
            gather_tile(grad, grad.ctypes.data + source * pixel, winner.ctypes.data + source * c,
                        dx.ctypes.data + (row * w + ix) * pixel, Box(down.count, across.count), strides,
                        winner_strides, taps, c)
