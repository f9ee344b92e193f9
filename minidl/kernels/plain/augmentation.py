"""Augmentation as array code: pixels of a batch of images moved, blended or looked up, each image in its own way.

Images are bytes (N, C, H, W) in C order; `warp`, `displace` and `blur` take float32 as well. Results are new arrays.
Bytes are computed in float32 and rounded to the nearest, halves upwards.
"""

import numpy as np

from minidl.device import array_module

CONSTANT, REFLECT, REPLICATE = range(3)         # what lies outside of an image; see `inside`


def gather(images, rows, columns, fill):
    """out[n, c, y, x] = images[n, c, rows[n, y], columns[n, x]], or `fill` where one of the two is -1

    images (N, C, H, W), rows (N, OH), columns (N, OW)  ->  (N, C, OH, OW)
    """
    xp = array_module(images)
    n = xp.arange(len(images))[:, None, None]
    picked = images.transpose(0, 2, 3, 1)[n, rows[:, :, None], columns[:, None, :]].transpose(0, 3, 1, 2)
    outside = (rows[:, :, None] < 0) | (columns[:, None, :] < 0)
    return xp.ascontiguousarray(xp.where(outside[:, None], xp.full((), fill, dtype=images.dtype), picked))


def warp(images, matrices, size, bilinear, border, fill):
    """out[n, c, y, x] = images[n, c] at the point (i, j) = matrices[n] @ (y, x, 1), between pixels if `bilinear`

    images (N, C, H, W), matrices (N, 2, 3), size (OH, OW)  ->  (N, C, OH, OW)
    Pixel centres have whole coordinates. What lies outside is `fill`, or as `border` says.
    """
    y, x = np.mgrid[:size[0], :size[1]].astype(np.float32)
    points = np.einsum("nij,jyx->niyx", matrices.astype(np.float32), np.stack([y, x, np.ones_like(y)]))
    return sample(images, points[:, 0], points[:, 1], bilinear, border, fill)


def displace(images, fields, bilinear, border, fill):
    """out[n, c, y, x] = images[n, c] at the point (y + fields[n, 0, y, x], x + fields[n, 1, y, x])."""
    y, x = np.mgrid[:images.shape[2], :images.shape[3]].astype(np.float32)
    return sample(images, y + fields[:, 0], x + fields[:, 1], bilinear, border, fill)


def sample(images, i, j, bilinear, border, fill):
    """The images at the points (i, j), both (N, OH, OW)."""
    if not bilinear:
        out = at(images, np.floor(i + np.float32(0.5)), np.floor(j + np.float32(0.5)), border, fill)
        return np.ascontiguousarray(out.astype(images.dtype))
    top, left = np.floor(i), np.floor(j)
    v, w = (i - top)[:, None], (j - left)[:, None]
    upper = at(images, top, left, border, fill) * (1 - w) + at(images, top, left + 1, border, fill) * w
    lower = at(images, top + 1, left, border, fill) * (1 - w) + at(images, top + 1, left + 1, border, fill) * w
    return rounded(upper * (1 - v) + lower * v, images.dtype)


def at(images, i, j, border, fill):
    """The pixels in row i and column j, whole numbers (N, OH, OW), of each image: float32 (N, C, OH, OW)."""
    h, w = images.shape[2:]
    rows, columns = inside(i.astype(np.int64), h, border), inside(j.astype(np.int64), w, border)
    n = np.arange(len(images))[:, None, None]
    picked = images.transpose(0, 2, 3, 1)[n, rows, columns].transpose(0, 3, 1, 2).astype(np.float32)
    return np.where(((rows < 0) | (columns < 0))[:, None], np.float32(fill), picked)


def inside(i, n, border):
    """The indices i as indices of an axis of n pixels: -1 outside if `border` is CONSTANT.

    REFLECT mirrors at the outermost pixels, which are not repeated, any number of times; REPLICATE repeats them.
    """
    if border == REPLICATE or (border == REFLECT and n == 1):
        return np.clip(i, 0, n - 1)
    if border == REFLECT:
        i = np.abs(i) % (2 * n - 2)
        return np.where(i < n, i, 2 * n - 2 - i)
    return np.where((i < 0) | (i >= n), -1, i)


def blend_each(images, rows, columns):
    """out[n, c, y, x] = sum over s, t of v[n, y, s] * w[n, x, t] * images[n, c, i[n, y, s], j[n, x, t]]

    images (N, C, H, W); rows = Taps(i, v) (N, OH, S), columns = Taps(j, w) (N, OW, T)  ->  (N, C, OH, OW)
    """
    n = np.arange(len(images))[:, None, None]
    tall = images.transpose(0, 2, 1, 3)[n, rows.index].astype(np.float32)              # (N, OH, S, C, W)
    tall = np.einsum("nyscw,nys->nwcy", tall, rows.weight.astype(np.float32))
    wide = tall[n, columns.index]                                                       # (N, OW, T, C, OH)
    return rounded(np.einsum("nxtcy,nxt->ncyx", wide, columns.weight.astype(np.float32)), images.dtype)


def look_up(images, tables):
    """out[n, c, y, x] = tables[n, c, images[n, c, y, x]]   tables: bytes (N, C, 256)"""
    n, channels, h, w = images.shape
    flat = images.reshape(n, channels, h * w)
    return np.take_along_axis(tables, flat.astype(np.intp), axis=2).reshape(images.shape)


def mix_channels(images, matrices, offsets):
    """out[n, c] = sum over k of matrices[n, c, k] * images[n, k] + offsets[n, c], limited to 0..255."""
    out = np.einsum("nck,nkyx->ncyx", matrices.astype(np.float32), images.astype(np.float32))
    return rounded(out + offsets.astype(np.float32)[:, :, None, None], images.dtype)


def blur(images, weights):
    """Each image filtered along rows and along columns with weights[n], (N, K), K odd; the border is reflected."""
    taps = weights.shape[1] // 2
    out = images.astype(np.float32)
    for axis in (2, 3):
        n = out.shape[axis]
        steps = [inside(np.arange(n) + t, n, REFLECT) for t in range(-taps, taps + 1)]
        out = sum(w[:, None, None, None] * out.take(step, axis)
                  for w, step in zip(weights.T.astype(np.float32), steps, strict=True))
    return rounded(out, images.dtype)


def add_noise(images, keys, deviations):
    """images + deviations[n] * z with z from the standard normal distribution, the same for equal keys; bytes."""
    size = images[0].size if len(images) else 0
    counters = np.arange(2 * size, dtype=np.uint64).reshape(size, 2)
    bits = mixed(keys[:, None, None] + (counters + np.uint64(1)) * GOLDEN)
    u = ((bits >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-24)        # in (0, 1)
    z = np.sqrt(np.float32(-2) * np.log(u[..., 0])) * np.cos(np.float32(2 * np.pi) * u[..., 1])
    return rounded(images + (deviations.astype(np.float32)[:, None] * z).reshape(images.shape), images.dtype)


GOLDEN = np.uint64(0x9E3779B97F4A7C15)           # 2**64 divided by the golden ratio, odd


def mixed(bits):
    """A bijection of uint64 in which each bit of the input changes about half of the bits of the output.

    The finalizer of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def rounded(x, dtype):
    """x as an array of `dtype` in C order: bytes are rounded and limited to 0..255."""
    x = np.clip(np.floor(x + np.float32(0.5)), 0, 255) if dtype == np.uint8 else x
    return np.ascontiguousarray(x.astype(dtype))
