"""Depthwise convolution: every channel has a filter of its own, so nothing mixes channels.

In channels-last memory a pixel is a run of channels, and an output pixel is the sum over the window's taps of (pixel
under the tap) * (weights of the tap), vectors of channels all of them. `window_tile.py` computes it for a few pixels of
a row at once. No border of zeros is made: tables tell for each row and column of the output which taps meet the image,
and where. The input gradient is the same sum with other tables: each input pixel gathers from the output pixels whose
windows cover it. The weight gradient sums over pixels instead, with one sum for each tap.
A tile reads one vector of each pixel, too far apart for the processor to foresee: it fetches ahead what the next row,
or the next block, will read.
"""

import itertools
import math

import numpy as np

from minidl.kernels.cpu.convolution.tap_tables import reaching, remembered
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.depthwise_microkernel import PLACE_FORMS, TAP_FORMS, place_tile, tap_tile
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import share

UNITS = 16         # parts of a weight gradient's work, about; from the shape alone, so that threads don't change bits
SPLIT = 512        # pixels in one part, at least: each makes sums of its own
PART = 64          # channels in one part, or a multiple
PIXELS = 128       # that one tile of a weight gradient sums over, or fewer: they should stay in the cache


def conv2d(x, weight, bias, window, relu=False):
    """out[n, f, y, x] = bias[f] + sum over i, j of x[n, f // m, y*sh + i*dh, x*sw + j*dw] * weight[f, 0, i, j]

    x (N, C, H, W), weight (F, 1, KH, KW) with F = m * C, bias (F,) or None  ->  (N, F, OH, OW), channels last in memory
    With `relu`, max(out, 0).
    """
    f, sw, dw = len(weight), window.stride[1], window.dilation[1]
    x = channel_per_filter(channels_last(x), f)
    down, across = axes(window, x.shape[1:3])
    out = empty((len(x), down[-1], across[-1], f), x.dtype)
    start = empty((f,), x.dtype)
    start[:] = 0 if bias is None else bias
    gather(x, filters(weight), start, reached(*down), strips(reached, across, 1, sw, dw), 1, window.dilation, (1, 1),
           window.stride[0], int(relu), out)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window):
    """The gradient of conv2d by x.   grad (N, F, OH, OW), weight (F, 1, KH, KW)  ->  (N, C, H, W) = shape

    Input row y feeds output row o through window row i if  o * s + i * d = y + top. With g = gcd(s, d), the window rows
    that meet y are s / g apart, and from one of them to the one before, o grows by d / g. The filters
    are turned around, so that both go up together.
    """
    n, c, h, w = shape
    f, sw = len(weight), window.stride[1]
    down, across = axes(window, (h, w))
    apart, taps_apart = reaching_steps(window)
    out = empty((n, h, w, f), grad.dtype)
    gather(channels_last(grad), filters(weight[:, :, ::-1, ::-1]), np.zeros(f, grad.dtype), reaching(*down),
           strips(reaching, across, sw, 1, apart[1]), sw, apart, taps_apart, 1, 0, out)
    return logical(out if f == c else out.reshape(n, h, w, c, f // c).sum(-1))


def conv2d_weight_gradient(grad, x, window):
    """The gradient of conv2d by its weight.   grad (N, F, OH, OW), x (N, C, H, W)  ->  (F, 1, KH, KW)

    dw[f, 0, i, j] = sum over n, y, x of grad[n, f, y, x] * x[n, f // m, y*sh + i*dh, x*sw + j*dw]
    """
    n, f, oh, ow = grad.shape
    x = channel_per_filter(channels_last(x), f)
    _, across = axes(window, x.shape[1:3])
    block = max(1, PIXELS // (oh * ow)), min(oh, max(1, PIXELS // ow))             # images, and rows of one image
    splits = min(UNITS, max(1, n * oh * ow // SPLIT), max(1, -(-n // block[0]) * -(-oh // block[1])))
    part = -(-f // (PART * -(-UNITS // splits))) * PART
    partial = empty((splits, *window.kernel, f), x.dtype)
    corner = tuple(before for before, _ in window.padding)
    correlate(x, channels_last(grad), meetings(window.kernel[0], *across), window.stride, window.dilation, corner,
              block, part, partial)
    return partial.sum(0).transpose(2, 0, 1)[:, None]


def channel_per_filter(x, f):
    """x (N, H, W, C) with each channel repeated until there are `f`; x itself if there are."""
    return x if x.shape[3] == f else x.repeat(f // x.shape[3], axis=3)


def filters(weight):
    """(F, 1, KH, KW)  ->  (KH, KW, F), C-contiguous"""
    out = empty((*weight.shape[2:], len(weight)), weight.dtype)
    out[...] = weight[:, 0].transpose(1, 2, 0)
    return out


@remembered
def axes(window, size):
    """The rows' and the columns' (size, kernel, stride, dilation, pads, places of the window)."""
    return list(zip(size, *window[:2], window.dilation, window.padding, window.out(size), strict=True))


@remembered
def reached(size, kernel, stride, dilation, pads, places):
    """For each place of the window: (the first tap inside the image, how many are, the pixel under the first).

    int64 (places, 3)
    """
    table = np.zeros((places, 3), np.int64)
    for o in range(places):
        met = [(i, y) for i in range(kernel) if 0 <= (y := o * stride + i * dilation - pads[0]) < size]
        if met:
            table[o] = met[0][0], len(met), met[0][1]
    return table


def reaching_steps(window):
    """What leads from one way to the next in `reaching`: (rows, columns) of windows, and (rows, columns) of taps."""
    common = [math.gcd(s, d) for s, d in zip(window.stride, window.dilation, strict=True)]
    return (tuple(d // g for d, g in zip(window.dilation, common, strict=True)),
            tuple(s // g for s, g in zip(window.stride, common, strict=True)))


@remembered
def strips(table, axis, step, source_step, apart):
    """The columns of a row, cut into strips, each computed by one tile: the first form that fits.

    The columns of a strip are `step` apart, what they meet is `source_step` pixels apart, and the taps are `apart`.
    int64 (strips, 6): the first column, the form, the first tap, how many rounds of taps, the pixel under the
    first, and how far apart the neighbours are that the tile reads
    """
    columns = table(*axis)
    found = []
    for phase in range(step):
        some = columns[phase::step]
        z = 0
        while z < len(some):
            form = next(f for f in PLACE_FORMS if fits(f, some[z:z + f.places].tolist(), source_step, apart))
            tap, taps, where = some[z]
            rounds, neighbour = (taps, source_step) if form.taps == 1 else (1, 1)
            tap -= form.missing[0]
            found.append((phase + z * step, PLACE_FORMS.index(form), tap, rounds, where, neighbour))
            z += form.places
    return np.array(found, np.int64).reshape(-1, 6)


def fits(form, columns, source_step, apart):
    """Whether a tile of this form computes these columns: (first tap, how many, the pixel under it) each."""
    if len(columns) < form.places:
        return False
    tap, taps, where = columns[0]
    if form.taps == 1:
        return all(column == [tap, taps, where + p * source_step] for p, column in enumerate(columns))
    return apart == 1 and source_step == form.stride and all(
        column == seen_by(form, p, where - form.missing[0]) for p, column in enumerate(columns))


def seen_by(form, place, first):
    """What the table says of a column that a form of several taps computes, whose first neighbour is pixel `first`."""
    taps = [j for j in range(form.taps) if place * form.stride + j in form.neighbours]
    return [taps[0], len(taps), first + place * form.stride + taps[0]]


@remembered
def meetings(kh, size, kernel, stride, dilation, pads, places):
    """The tiles of a weight gradient: each (tap, place) pair of the columns that meets inside the image is in one of
    them, for each of `kh` rows of taps.

    int64 (tiles, 7): the form, the first row and the first column of taps, the first place, the pixel that meets it,
    how many rounds there are, and how many places to a round
    """
    table = []
    for (i, lines), (j, taps) in itertools.product(threes(kh), threes(kernel)):
        z = 0
        while z < places:
            first = z * stride + j * dilation - pads[0]
            form = next((f for f in TAP_FORMS if f[:2] == (lines, taps) and f.taps <= places - z
                         and meets(f, range(first, first + f.span * dilation, dilation), size, stride)), None)
            if form is None:                                         # only zeros lie there
                z += 1
                continue
            tile = [TAP_FORMS.index(form), i, j]
            if table and table[-1][:3] == tile and not any(form.missing):
                table[-1][5] += 1
            else:
                table.append([*tile, z, first + form.missing[0] * dilation, 1, form.taps])
            z += form.taps
    return np.array(table, np.int64).reshape(-1, 7)


def threes(taps):
    """`taps` in groups of three, and one by one where less is left: (the first, how many) each."""
    return [(i, 3) for i in range(0, taps - 2, 3)] + [(i, 1) for i in range(taps - taps % 3, taps)]


def meets(form, pixels, size, stride):
    """Whether the form's neighbours are those of `pixels` that exist, and its places so far apart as the window's."""
    inside = [k for k, pixel in enumerate(pixels) if 0 <= pixel < size]
    return inside == list(form.neighbours) and (form.taps == 1 or form.step * pixels.step == stride)


@kernel
def gather(thread, threads, x, weight, start, rows, strips, step, apart, taps_apart, ahead, relu, out):
    """out = start + the sum of x * weight over the taps that `rows` and `strips` tell; the columns of a strip are
    `step` apart.

    apart    rows and pixels of x from one tap to the next;   taps_apart: rows and columns of the weight
    ahead    rows of x from what one row of the output meets to what the next one does
    """
    _, h, w, c = x.shape
    n, oh, ow, _ = out.shape
    pixel, kw = c * x.itemsize, weight.shape[1]
    w_steps = (0, taps_apart[0] * kw * pixel, taps_apart[1] * pixel, taps_apart[1] * pixel)
    for line in share(thread, threads, n * oh):
        i, i_taps, y = rows[line % oh]
        for s in range(len(strips)):
            z, form, j, rounds, at, neighbour = strips[s]
            source = x.ctypes.data + ((line // oh * h + y) * w + at) * pixel
            taps = weight.ctypes.data + (i * kw + j) * pixel
            target = out.ctypes.data + (line * ow + z) * pixel
            x_steps = (0, apart[0] * w * pixel, apart[1] * pixel, 0, neighbour * pixel)
            place_tile(x, form, source, taps, target, start.ctypes.data, 1, i_taps, rounds, x_steps, w_steps,
                       (0, step * pixel), (0, 0), (ahead * w * pixel, 0), (0, 0, 0, 1), c, relu)


@kernel
def correlate(thread, threads, x, grad, tiles, stride, dilation, corner, block, part, partial):
    """partial[s] = the sums of grad * x over the s-th part of the blocks of images and rows, for each tap"""
    _, h, w, c = x.shape
    n, oh, ow, _ = grad.shape
    splits, kh, kw, _ = partial.shape
    size = x.itemsize
    pixel, parts = c * size, (c + part - 1) // part
    bands = (oh + block[1] - 1) // block[1]
    blocks = (n + block[0] - 1) // block[0] * bands
    ahead = (block[0] * block[1] * stride[0] * w * pixel, block[0] * block[1] * ow * pixel)     # to the next block
    for unit in share(thread, threads, splits * parts):
        split, k = unit // parts, unit % parts * part
        partial[split, :, :, k:k + part] = 0
        for at in range(split * blocks // splits, (split + 1) * blocks // splits):
            image, top = at // bands * block[0], at % bands * block[1]
            images, bottom = min(block[0], n - image), min(top + block[1], oh)
            for t in range(len(tiles)):
                form, i, j, z, first, rounds, places = tiles[t]
                y = top * stride[0] + i * dilation[0] - corner[0]
                source = x.ctypes.data + ((image * h + y) * w + first) * pixel + k * size
                grads = grad.ctypes.data + ((image * oh + top) * ow + z) * pixel + k * size
                sums = partial.ctypes.data + ((split * kh + i) * kw + j) * pixel + k * size
                x_steps = (h * w * pixel, stride[0] * w * pixel, places * stride[1] * pixel, dilation[0] * w * pixel,
                           dilation[1] * pixel)
                w_steps = (oh * ow * pixel, ow * pixel, places * pixel, pixel)
                tap_tile(x, form, source, grads, sums, sums, images, bottom - top, rounds, x_steps, w_steps,
                         (kw * pixel, pixel), (kw * pixel, pixel), ahead, (y, stride[0], dilation[0], h),
                         min(part, c - k), 0)
