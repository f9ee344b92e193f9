"""Augmentation of batches of images, each in its own way, as loops over pixels.

These kernels run on the calling thread alone: a loader calls them from its own threads, while the training step has
the pool of threads to itself.
"""

import math

import numpy as np

from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.work import share
from minidl.kernels.geometry import Taps
from minidl.kernels.plain.augmentation import CONSTANT, EQUALIZED, GOLDEN, REFLECT, STRETCHED, mean_offsets

FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def gather(images, rows, columns, fill):
    out = np.empty((*images.shape[:2], rows.shape[1], columns.shape[1]), images.dtype)
    gather_pixels.serial(images, rows, columns, images.dtype.type(fill), out)
    return out


@kernel
def gather_pixels(thread, threads, images, rows, columns, fill, out):
    n, channels, oh, ow = out.shape
    for i in share(thread, threads, n):
        for c in range(channels):
            for y in range(oh):
                row = rows[i, y]
                for x in range(ow):
                    column = columns[i, x]
                    out[i, c, y, x] = fill if row < 0 or column < 0 else images[i, c, row, column]


def warp(images, matrices, size, bilinear, border, fill):
    out = np.empty((*images.shape[:2], *size), images.dtype)
    warp_pixels.serial(images, matrices.astype(np.float32), bool(bilinear), border, np.float32(fill), out)
    return out


@kernel
def warp_pixels(thread, threads, images, matrices, bilinear, border, fill, out):
    n, oh, ow = len(out), out.shape[2], out.shape[3]
    for i in share(thread, threads, n):
        m = matrices[i]
        for y in range(oh):
            for x in range(ow):
                fy, fx = np.float32(y), np.float32(x)
                sample(images, i, m[0, 0] * fy + m[0, 1] * fx + m[0, 2], m[1, 0] * fy + m[1, 1] * fx + m[1, 2],
                       bilinear, border, fill, (out, y, x))


def displace(images, fields, bilinear, border, fill):
    out = np.empty(images.shape, images.dtype)
    displace_pixels.serial(images, fields.astype(np.float32), bool(bilinear), border, np.float32(fill), out)
    return out


@kernel
def displace_pixels(thread, threads, images, fields, bilinear, border, fill, out):
    n, oh, ow = len(out), out.shape[2], out.shape[3]
    for i in share(thread, threads, n):
        for y in range(oh):
            for x in range(ow):
                sample(images, i, np.float32(y) + fields[i, 0, y, x], np.float32(x) + fields[i, 1, y, x],
                       bilinear, border, fill, (out, y, x))


@inner
def sample(images, n, i, j, bilinear, border, fill, target):
    """Write image n at the point (i, j) to `target`, an array (N, C, OH, OW), a row and a column."""
    out, y, x = target
    h, w = images.shape[2], images.shape[3]
    half = np.float32(0.5)
    if not bilinear:
        row, column = inside(math.floor(i + half), h, border), inside(math.floor(j + half), w, border)
        for c in range(images.shape[1]):
            out[n, c, y, x] = pixel(images, n, c, row, column, fill)
        return
    one, top, left = np.float32(1), math.floor(i), math.floor(j)
    v, u = np.float32(i - top), np.float32(j - left)
    weights = ((one - v) * (one - u), (one - v) * u, v * (one - u), v * u)
    if 0 <= top < h - 1 and 0 <= left < w - 1:
        for c in range(images.shape[1]):
            x0, x1 = np.float32(images[n, c, top, left]), np.float32(images[n, c, top, left + 1])
            x2, x3 = np.float32(images[n, c, top + 1, left]), np.float32(images[n, c, top + 1, left + 1])
            out[n, c, y, x] = rounded(weights[0] * x0 + weights[1] * x1 + weights[2] * x2 + weights[3] * x3, out)
        return
    first, second = inside(top, h, border), inside(top + 1, h, border)
    before, after = inside(left, w, border), inside(left + 1, w, border)
    for c in range(images.shape[1]):
        x0, x1 = pixel(images, n, c, first, before, fill), pixel(images, n, c, first, after, fill)
        x2, x3 = pixel(images, n, c, second, before, fill), pixel(images, n, c, second, after, fill)
        out[n, c, y, x] = rounded(weights[0] * x0 + weights[1] * x1 + weights[2] * x2 + weights[3] * x3, out)


@inner
def pixel(images, n, c, row, column, fill):
    """A pixel as a float; `fill` if its row or column is -1."""
    return fill if row < 0 or column < 0 else np.float32(images[n, c, row, column])


@inner
def inside(i, n, border):
    """See the plain function."""
    if 0 <= i < n:
        return i
    if border == CONSTANT:
        return -1
    if border == REFLECT and n > 1:
        i = abs(i) % (2 * n - 2)
        return i if i < n else 2 * n - 2 - i
    return min(max(i, 0), n - 1)


@inner
def rounded(value, like):
    """A float as an element of `like`: bytes are rounded and limited to 0..255."""
    if like.itemsize > 1:
        return like.dtype.type(value)
    return like.dtype.type(int(min(max(value + np.float32(0.5), np.float32(0)), np.float32(255))))


def blend_each(images, rows, columns):
    rows, columns = (Taps(taps.index, taps.weight.astype(np.float32)) for taps in (rows, columns))
    out = np.empty((*images.shape[:2], rows.index.shape[1], columns.index.shape[1]), images.dtype)
    blend_pixels.serial(images, rows, columns, out)
    return out


@kernel
def blend_pixels(thread, threads, images, rows, columns, out):
    """Each output row is blended from `line`, itself a blend of rows of the image."""
    n, channels, oh, ow = out.shape
    line = np.empty(images.shape[3], np.float32)
    for unit in share(thread, threads, n * channels):
        i, c = unit // channels, unit % channels
        for y in range(oh):
            line[:] = 0
            for s in range(rows.index.shape[2]):
                weight, row = rows.weight[i, y, s], rows.index[i, y, s]
                for x in range(len(line)):
                    line[x] += weight * images[i, c, row, x]
            for x in range(ow):
                total = np.float32(0)
                for t in range(columns.index.shape[2]):
                    total += columns.weight[i, x, t] * line[columns.index[i, x, t]]
                out[i, c, y, x] = rounded(total, out)


def look_up(images, tables):
    n, channels, h, w = images.shape
    out = np.empty(images.shape, np.uint8)
    look_up_pixels.serial(images.reshape(n, channels, h * w), tables, out.reshape(n, channels, h * w))
    return out


@kernel
def look_up_pixels(thread, threads, images, tables, out):
    n, channels, size = images.shape
    for unit in share(thread, threads, n * channels):
        i, c = unit // channels, unit % channels
        for e in range(size):
            out[i, c, e] = tables[i, c, images[i, c, e]]


def level_tables(images, kinds):
    n, channels, h, w = images.shape
    tables = np.empty((n, channels, 256), np.uint8)
    tabulate.serial(images.reshape(n, channels, h * w), kinds, tables)
    return tables


@kernel
def tabulate(thread, threads, images, kinds, tables):
    n, channels, size = images.shape
    counts = np.empty(256, np.int64)
    for unit in share(thread, threads, n * channels):
        i, c = unit // channels, unit % channels
        counts[:] = 0
        for e in range(size):
            counts[images[i, c, e]] += 1
        low, high, before = 0, 255, 0
        while counts[low] == 0:
            low += 1
        while counts[high] == 0:
            high -= 1
        step = (size - counts[high]) // 255
        for level in range(256):
            value = level
            if kinds[i] == STRETCHED and high > low:
                value = int(min(max((level - low) * (255 / (high - low)), 0), 255))
            elif kinds[i] == EQUALIZED and step > 0:
                value = min((before + step // 2) // step, 255)
            tables[i, c, level] = value
            before += counts[level]


def mix_channels(images, matrices, of_means=None):
    n, channels, h, w = images.shape
    offsets = np.zeros((n, channels), np.float32) if of_means is None else mean_offsets(images, of_means)
    out = np.empty((n, matrices.shape[1], h, w), images.dtype)
    mix_pixels.serial(images.reshape(n, channels, h * w), matrices.astype(np.float32), offsets,
                      out.reshape(n, out.shape[1], h * w))
    return out


@kernel
def mix_pixels(thread, threads, images, matrices, offsets, out):
    n, made, size = out.shape
    for unit in share(thread, threads, n * made):
        i, c = unit // made, unit % made
        for e in range(size):
            total = np.float32(0)
            for k in range(images.shape[1]):
                total += matrices[i, c, k] * images[i, k, e]
            out[i, c, e] = rounded(total + offsets[i, c], out)


def erase(images, boxes, value):
    out = images.copy()
    for image, (top, left, bottom, right) in zip(out, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right] = value
    return out


def mix_pairs(images, share, box):
    out = images.copy()
    top, left, bottom, right = box
    others = images[:, :, top:bottom, left:right]
    mix_images.serial(others, np.float32(share), np.float32(1 - share), out[:, :, top:bottom, left:right])
    return out


@kernel
def mix_images(thread, threads, images, own, rest, out):
    n, channels, h, w = images.shape
    for i in share(thread, threads, n):
        for c in range(channels):
            for y in range(h):
                for x in range(w):
                    other = images[i - 1, c, y, x]                       # before the first image comes the last
                    out[i, c, y, x] = rounded(own * images[i, c, y, x] + rest * other, out)


def blur(images, weights):
    out = np.empty(images.shape, images.dtype)
    blur_pixels.serial(images, weights.astype(np.float32), out)
    return out


@kernel
def blur_pixels(thread, threads, images, weights, out):
    n, channels, h, w = images.shape
    taps = weights.shape[1] // 2
    tall = np.empty((h, w), np.float32)                  # filtered along the columns
    for unit in share(thread, threads, n * channels):
        i, c = unit // channels, unit % channels
        tall[:] = 0
        for y in range(h):
            for t in range(-taps, taps + 1):
                weight, row = weights[i, taps + t], inside(y + t, h, REFLECT)
                for x in range(w):
                    tall[y, x] += weight * images[i, c, row, x]
        for y in range(h):
            for x in range(w):
                total = np.float32(0)
                for t in range(-taps, taps + 1):
                    total += weights[i, taps + t] * tall[y, inside(x + t, w, REFLECT)]
                out[i, c, y, x] = rounded(total, out)


def add_noise(images, keys, deviations):
    out = np.empty(images.shape, images.dtype)
    n, size = len(images), math.prod(images.shape[1:])
    noise_pixels.serial(images.reshape(n, size), keys, deviations.astype(np.float32), out.reshape(n, size))
    return out


@kernel
def noise_pixels(thread, threads, images, keys, deviations, out):
    n, size = images.shape
    for i in share(thread, threads, n):
        for e in range(size):
            radius = math.sqrt(np.float32(-2) * math.log(uniform(keys[i], 2 * e)))
            z = np.float32(radius) * math.cos(np.float32(2 * math.pi) * uniform(keys[i], 2 * e + 1))
            out[i, e] = rounded(np.float32(images[i, e] + deviations[i] * np.float32(z)), out)


@inner
def uniform(key, counter):
    """A float in (0, 1): number `counter` of the stream of a key."""
    bits = key + np.uint64(counter + 1) * np.uint64(GOLDEN)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(FIRST)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(SECOND)
    bits = bits ^ (bits >> np.uint64(31))
    return (np.float32(bits >> np.uint64(40)) + np.float32(0.5)) * np.float32(2.0**-24)
