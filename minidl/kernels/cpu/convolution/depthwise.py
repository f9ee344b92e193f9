"""Depthwise convolution: one filter per channel, so that channels never mix.

In channels-last memory a pixel is a run of channels, and an output pixel is the sum over the window's taps of (pixel
under the tap) * (weights of the tap), all of them vectors of channels. `llvm/depthwise_microkernel.py` computes it for
a few pixels of a row at once. The image is not padded: tables say which taps of each row and column lie inside it, and
where. The input gradient is the same sum with other tables: each input pixel gathers from the output pixels whose
windows cover it. The weight gradient sums over pixels, with one sum for each tap.

A tile reads one vector of each pixel. These lie too far apart for the hardware prefetcher, so the microkernel
prefetches what the next row, or the next block, will read.
"""

from typing import NamedTuple

from minidl.kernels.cpu.convolution.depthwise_schedule import row_segments, tap_schedule
from minidl.kernels.cpu.convolution.tap_tables import axes, input_steps, taps_per_input, taps_per_output
from minidl.kernels.cpu.gemm.indirect import Epilogue
from minidl.kernels.cpu.gemm.packing import zeros
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.depthwise_microkernel import (
    Addresses,
    Ahead,
    Loop,
    OutStrides,
    RowBounds,
    Strides,
    WStrides,
    XStrides,
    pixel_tile,
    tap_tile,
)
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, ceil_div, share

# In a weight gradient:
SPLIT_PIXELS = 512          # pixels of one split, at least
UNIT_CHANNELS = 64          # channels of one work unit, or a multiple
BLOCK_PIXELS = 128          # pixels that one call of the microkernel sums over, at most: they should stay in the cache


class Steps(NamedTuple):
    """Distances in `convolve`, (down, across) where there are two."""

    column: int             # columns of out within a segment
    source: tuple           # pixels of x under neighbouring taps
    tap: tuple              # neighbouring taps in the weight
    next_row: int           # rows of x from what a row of out reads to what the next one will read: a prefetch


class BlockSize(NamedTuple):
    """What one call of the microkernel sums over in `correlate`, and the channels of a work unit."""

    images: int
    rows: int
    channels: int


def conv2d(x, weight, bias, window, relu=False):
    """As in plain, with a group for each channel: x (N, C, H, W), weight (F, 1, KH, KW), F a multiple of C."""
    f = len(weight)
    x = channel_per_filter(channels_last(x), f)
    rows, columns = axes(window, x.shape[1:3])
    out = empty((len(x), rows.out, columns.out, f), x.dtype)
    start = empty((f,), x.dtype)
    start[:] = 0 if bias is None else bias
    segments = row_segments(taps_per_output, columns, 1, columns.stride, columns.dilation)
    convolve(x, taps_first(weight), Epilogue(start, int(relu)), taps_per_output(rows), segments,
             Steps(1, window.dilation, (1, 1), rows.stride), out)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window):
    """As in plain, with a group for each channel. The filters are rotated by 180 degrees: see `taps_per_input`."""
    n, c, h, w = shape
    f = len(weight)
    rows, columns = axes(window, (h, w))
    (output_down, tap_down), (output_across, tap_across) = input_steps(rows), input_steps(columns)
    out = empty((n, h, w, f), grad.dtype)
    segments = row_segments(taps_per_input, columns, columns.stride, 1, output_across)
    convolve(channels_last(grad), taps_first(weight[:, :, ::-1, ::-1]), Epilogue(zeros(f, grad.dtype), 0),
             taps_per_input(rows), segments,
             Steps(columns.stride, (output_down, output_across), (tap_down, tap_across), 1), out)
    return logical(out if f == c else out.reshape(n, h, w, c, f // c).sum(-1))


def conv2d_weight_gradient(grad, x, window):
    """As in plain, with a group for each channel.

    dw[f, 0, ky, kx] = sum over n, oy, ox of grad[n, f, oy, ox] * x[n, f // m, oy*sh + ky*dh, ox*sw + kx*dw],  m = F / C
    """
    n, f, oh, ow = grad.shape
    x = channel_per_filter(channels_last(x), f)
    images, rows = max(1, BLOCK_PIXELS // (oh * ow)), min(oh, max(1, BLOCK_PIXELS // ow))
    blocks = ceil_div(n, images) * ceil_div(oh, rows)
    splits = min(REDUCTION_SPLITS, max(1, n * oh * ow // SPLIT_PIXELS), max(1, blocks))
    channels = ceil_div(f, UNIT_CHANNELS * ceil_div(REDUCTION_SPLITS, splits)) * UNIT_CHANNELS
    partial = empty((splits, *window.kernel, f), x.dtype)
    schedule = tap_schedule(window.kernel[0], axes(window, x.shape[1:3])[1])
    correlate(x, channels_last(grad), schedule, window, BlockSize(images, rows, channels), partial)
    return partial.sum(0).transpose(2, 0, 1)[:, None]


def channel_per_filter(x, f):
    """x (N, H, W, C) with each channel repeated F / C times; x itself if F = C."""
    return x if x.shape[3] == f else x.repeat(f // x.shape[3], axis=3)


def taps_first(weight):
    """(F, 1, KH, KW)  ->  (KH, KW, F), C-contiguous"""
    out = empty((*weight.shape[2:], len(weight)), weight.dtype)
    out[...] = weight[:, 0].transpose(1, 2, 0)
    return out


@kernel
def convolve(thread, threads, x, weight, epilogue, rows, segments, steps, out):
    """out = bias + the sum of x * weight over the taps in `rows` (per row of out) and `segments` (per column).

    x (N, H, W, F), weight (KH, KW, F), out (N, OH, OW, F);  a work unit is a row of out
    """
    _, h, w, c = x.shape
    n, oh, ow, _ = out.shape
    pixel, kw = c * x.itemsize, weight.shape[1]
    to_tap = steps.tap[1] * pixel
    w_strides = WStrides(0, steps.tap[0] * kw * pixel, to_tap, to_tap)
    for unit in share(thread, threads, n * oh):
        taps = rows[unit % oh]
        for s in range(len(segments)):
            segment = segments[s]
            at = Addresses(x.ctypes.data + ((unit // oh * h + taps.source) * w + segment.source) * pixel,
                           weight.ctypes.data + (taps.tap * kw + segment.tap) * pixel,
                           out.ctypes.data + (unit * ow + segment.column) * pixel, epilogue.bias.ctypes.data)
            x_strides = XStrides(0, steps.source[0] * w * pixel, steps.source[1] * pixel, 0, segment.neighbour * pixel)
            strides = Strides(x_strides, w_strides, OutStrides(0, steps.column * pixel), OutStrides(0, 0))
            pixel_tile(x, segment.tile_shape, at, Loop(1, taps.count, segment.rounds), strides,
                       Ahead(steps.next_row * w * pixel, 0), RowBounds(0, 0, 0, 1), c, epilogue.relu)


@kernel
def correlate(thread, threads, x, grad, schedule, window, block, partial):
    """partial[s] = for each tap, the sum of grad * x over the s-th split of the blocks of images and rows

    x (N, H, W, F), grad (N, OH, OW, F), partial (splits, KH, KW, F);  a work unit is block.channels of one split
    """
    _, h, w, c = x.shape
    n, oh, ow, _ = grad.shape
    splits, kh, kw, _ = partial.shape
    (sh, sw), (dh, dw), top = window.stride, window.dilation, window.padding[0][0]
    size = x.itemsize
    pixel, parts = c * size, ceil_div(c, block.channels)
    per_image = ceil_div(oh, block.rows)                             # blocks
    blocks = ceil_div(n, block.images) * per_image
    block_rows = block.images * block.rows
    ahead = Ahead(block_rows * sh * w * pixel, block_rows * ow * pixel)                  # to the next block
    taps = OutStrides(kw * pixel, pixel)
    for unit in share(thread, threads, splits * parts):
        split, channel = unit // parts, unit % parts * block.channels
        channels = min(block.channels, c - channel)
        partial[split, :, :, channel:channel + channels] = 0
        for index in range(split * blocks // splits, (split + 1) * blocks // splits):
            image, oy = index // per_image * block.images, index % per_image * block.rows
            images, rows = min(block.images, n - image), min(block.rows, oh - oy)
            for t in range(len(schedule)):
                tile = schedule[t]
                iy = oy * sh + tile.ky * dh - top
                sums = partial.ctypes.data + ((split * kh + tile.ky) * kw + tile.kx) * pixel + channel * size
                at = Addresses(x.ctypes.data + ((image * h + iy) * w + tile.source) * pixel + channel * size,
                               grad.ctypes.data + ((image * oh + oy) * ow + tile.ox) * pixel + channel * size,
                               sums, sums)
                strides = Strides(XStrides(h * w * pixel, sh * w * pixel, tile.outputs * sw * pixel, dh * w * pixel,
                                           dw * pixel),
                                  WStrides(oh * ow * pixel, ow * pixel, tile.outputs * pixel, pixel), taps, taps)
                tap_tile(x, tile.tile_shape, at, Loop(images, rows, tile.rounds), strides, ahead,
                         RowBounds(iy, sh, dh, h), channels, 0)
