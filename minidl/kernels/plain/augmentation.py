"""Augmentation as array code: pixels of a batch of images moved, blended or looked up, each image in its own way.

Images are bytes (N, C, H, W) in C order; all but `look_up` and `level_tables` take float32 as well. Results are new
arrays. Bytes are computed in float32 and rounded to the nearest, halves upwards. Other arguments may be NumPy arrays
where the images are on a GPU.
"""

import numpy as np

from minidl.device import array_module

CONSTANT, REFLECT, REPLICATE = range(3)         # what lies outside of an image; see `inside`
UNCHANGED, STRETCHED, EQUALIZED = range(3)      # what `level_tables` does to the levels of an image


def gather(images, rows, columns, fill):
    """out[n, c, y, x] = images[n, c, rows[n, y], columns[n, x]], or `fill` where one of the two is -1

    images (N, C, H, W), rows (N, OH), columns (N, OW)  ->  (N, C, OH, OW)
    """
    xp = array_module(images)
    rows, columns = xp.asarray(rows)[:, :, None], xp.asarray(columns)[:, None, :]
    picked = images.transpose(0, 2, 3, 1)[numbers(images, 3), rows, columns].transpose(0, 3, 1, 2)
    outside = (rows < 0) | (columns < 0)
    return xp.ascontiguousarray(xp.where(outside[:, None], xp.full((), fill, dtype=images.dtype), picked))


def numbers(images, ndim):
    """The number of each image, with axes of length 1 after it."""
    return array_module(images).arange(len(images)).reshape(-1, *(1,) * (ndim - 1))


def floats(images, v):
    """v as float32, where the images are."""
    return array_module(images).asarray(v).astype(np.float32)


def warp(images, matrices, size, bilinear, border, fill):
    """out[n, c, y, x] = images[n, c] at the point (i, j) = matrices[n] @ (y, x, 1), between pixels if `bilinear`

    images (N, C, H, W), matrices (N, 2, 3), size (OH, OW)  ->  (N, C, OH, OW)
    Pixel centres have whole coordinates. What lies outside is `fill`, or as `border` says.
    """
    m, (y, x) = floats(images, matrices)[:, :, :, None, None], grid(images, size)
    points = m[:, :, 0] * y + m[:, :, 1] * x + m[:, :, 2]
    return sample(images, points[:, 0], points[:, 1], bilinear, border, fill)


def grid(images, size):
    """The row (OH, 1) and the column (OW,) of each pixel, float32."""
    xp = array_module(images)
    return xp.arange(size[0], dtype=np.float32)[:, None], xp.arange(size[1], dtype=np.float32)


def displace(images, fields, bilinear, border, fill):
    """out[n, c, y, x] = images[n, c] at the point (y + fields[n, 0, y, x], x + fields[n, 1, y, x])."""
    fields, (y, x) = floats(images, fields), grid(images, images.shape[2:])
    return sample(images, y + fields[:, 0], x + fields[:, 1], bilinear, border, fill)


def noise_fields(images, keys, alpha):
    """alpha * (2 * u - 1) with u uniform in [0, 1): float32 (N, 2, H, W), the numbers of NumPy's Philox(keys[n])"""
    xp, shape = array_module(images), (2, *images.shape[2:])
    drawn = [np.random.Generator(np.random.Philox(key=int(key))).random(shape, np.float32) for key in keys]
    return xp.asarray(alpha * (2 * np.array(drawn, np.float32).reshape(len(keys), *shape) - 1))


def sample(images, i, j, bilinear, border, fill):
    """The images at the points (i, j), both (N, OH, OW)."""
    xp = array_module(images)
    if not bilinear:
        out = pixels(images, xp.floor(i + 0.5), xp.floor(j + 0.5), border, fill)
        return xp.ascontiguousarray(out.astype(images.dtype))
    top, left = xp.floor(i), xp.floor(j)
    v, w = (i - top)[:, None], (j - left)[:, None]
    upper, lower = (pixels(images, row, left, border, fill) * (1 - w) + pixels(images, row, left + 1, border, fill) * w
                    for row in (top, top + 1))
    return rounded(upper * (1 - v) + lower * v, images.dtype)


def pixels(images, i, j, border, fill):
    """The pixels in row i and column j, whole numbers (N, OH, OW), of each image: float32 (N, C, OH, OW)."""
    h, w = images.shape[2:]
    rows, columns = inside(i.astype(np.int64), h, border), inside(j.astype(np.int64), w, border)
    picked = images.transpose(0, 2, 3, 1)[numbers(images, 3), rows, columns].transpose(0, 3, 1, 2).astype(np.float32)
    xp = array_module(images)
    return xp.where(((rows < 0) | (columns < 0))[:, None], xp.full((), fill, dtype=np.float32), picked)


def inside(i, n, border):
    """The indices i as indices of an axis of n pixels: -1 outside if `border` is CONSTANT.

    REFLECT mirrors at the outermost pixels, which are not repeated, any number of times; REPLICATE repeats them.
    """
    xp = array_module(i)
    if border == REPLICATE or (border == REFLECT and n == 1):
        return xp.clip(i, 0, n - 1)
    if border == REFLECT:
        i = xp.abs(i) % (2 * n - 2)
        return xp.where(i < n, i, 2 * n - 2 - i)
    return xp.where((i < 0) | (i >= n), -1, i)


def blend_each(images, rows, columns):
    """out[n, c, y, x] = sum over s, t of v[n, y, s] * w[n, x, t] * images[n, c, i[n, y, s], j[n, x, t]]

    images (N, C, H, W); rows = Taps(i, v) (N, OH, S), columns = Taps(j, w) (N, OW, T)  ->  (N, C, OH, OW)
    """
    xp, n = array_module(images), numbers(images, 3)
    tall = images.transpose(0, 2, 1, 3)[n, xp.asarray(rows.index)].astype(np.float32)  # (N, OH, S, C, W)
    tall = xp.einsum("nyscw,nys->nwcy", tall, floats(images, rows.weight))
    wide = tall[n, xp.asarray(columns.index)]                                           # (N, OW, T, C, OH)
    return rounded(xp.einsum("nxtcy,nxt->ncyx", wide, floats(images, columns.weight)), images.dtype)


def look_up(images, tables):
    """out[n, c, y, x] = tables[n, c, images[n, c, y, x]]   tables: bytes (N, C, 256)"""
    n, channels, h, w = images.shape
    xp, flat = array_module(images), images.reshape(n, channels, h * w)
    return xp.take_along_axis(xp.asarray(tables), flat.astype(np.int64), axis=2).reshape(images.shape)


def level_tables(images, kinds):
    """The tables (N, C, 256) by which `look_up` changes the levels of each channel of an image, as kinds (N,) say.

    STRETCHED to the range from 0 to 255, or EQUALIZED: each level with about as many pixels as any other.
    """
    xp, kinds = array_module(images), array_module(images).asarray(kinds)[:, None, None]
    n, c, h, w = images.shape
    levels = xp.arange(256)
    places = xp.arange(n * c)[:, None] * 256 + images.reshape(n * c, h * w)
    counts = xp.bincount(places.reshape(-1), minlength=n * c * 256).reshape(n, c, 256)
    high = images.max((2, 3))[..., None].astype(np.int64)
    low = images.min((2, 3))[..., None].astype(np.int64)
    span, step = high - low, (counts.sum(2, keepdims=True) - xp.take_along_axis(counts, high, axis=2)) // 255
    stretched = xp.clip((levels - low) * (255 / xp.where(span > 0, span, 1)), 0, 255).astype(np.int64)
    even = xp.clip((xp.cumsum(counts, axis=2) - counts + step // 2) // xp.maximum(step, 1), 0, 255)
    tables = xp.where((kinds == STRETCHED) & (span > 0), stretched, levels)
    return xp.where((kinds == EQUALIZED) & (step > 0), even, tables).astype(np.uint8)


def mix_channels(images, matrices, of_means=None):
    """out[n, c] = sum over k of matrices[n, c, k] * images[n, k] + of_means[n, c, k] * mean(images[n, k])

    matrices, of_means (N, C, C); bytes are limited to 0..255.
    """
    out = array_module(images).einsum("nck,nkyx->ncyx", floats(images, matrices), images.astype(np.float32))
    if of_means is not None:
        out = out + mean_offsets(images, of_means)[:, :, None, None]
    return rounded(out, images.dtype)


def mean_offsets(images, of_means):
    """The sum over k of of_means[n, c, k] * mean(images[n, k]): float32 (N, C)"""
    terms = array_module(images).asarray(of_means) * images.mean((2, 3), dtype=np.float64)[:, None]
    return sum(terms[:, :, k] for k in range(images.shape[1])).astype(np.float32)


def blur(images, weights):
    """Each image filtered along rows and along columns with weights[n], (N, K), K odd; the border is reflected."""
    xp, weights, taps = array_module(images), floats(images, weights), weights.shape[1] // 2
    out = images.astype(np.float32)
    for axis in (2, 3):
        n = out.shape[axis]
        steps = [inside(xp.arange(n) + t, n, REFLECT) for t in range(-taps, taps + 1)]
        out = sum(weights[:, k, None, None, None] * out.take(step, axis) for k, step in enumerate(steps))
    return rounded(out, images.dtype)


SMOOTH = [[1 / 13, 1 / 13, 1 / 13], [1 / 13, 5 / 13, 1 / 13], [1 / 13, 1 / 13, 1 / 13]]


def sharpen(images, factors):
    """factors[n] * image + (1 - factors[n]) * the same image smoothed by SMOOTH, except for its border."""
    factors, smooth, (h, w) = floats(images, factors)[:, None, None, None], images.astype(np.float32), images.shape[2:]
    if min(h, w) > 2:
        smooth[:, :, 1:-1, 1:-1] = sum(SMOOTH[i][j] * images[:, :, i:h - 2 + i, j:w - 2 + j].astype(np.float32)
                                       for i in range(3) for j in range(3))
    return rounded(factors * images.astype(np.float32) + (1 - factors) * smooth, images.dtype)


def erase(images, boxes, value):
    """The images with `value` in the rows from top to bottom, and columns from left to right.

    boxes  whole numbers (N, 4): top, left, bottom, right, where bottom and right are the first that are kept
    """
    xp = array_module(images)
    top, left, bottom, right = xp.asarray(boxes).T[:, :, None, None]
    y, x = xp.arange(images.shape[2])[:, None], xp.arange(images.shape[3])
    erased = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    return xp.where(erased[:, None], xp.full((), value, dtype=images.dtype), images)


def mix_pairs(images, share, box):
    """In the box (top, left, bottom, right), share * image + (1 - share) * the image before it in the batch."""
    top, left, bottom, right = box
    out, own = images.copy(), images[:, :, top:bottom, left:right].astype(np.result_type(images.dtype, np.float32))
    share, rest = (float(np.float32(part)) for part in (share, 1 - share))
    mixed = own * share + array_module(images).roll(own, 1, axis=0) * rest
    out[:, :, top:bottom, left:right] = rounded(mixed, images.dtype)
    return out


def add_noise(images, keys, deviations):
    """images + deviations[n] * z with z from the standard normal distribution, the same for equal keys."""
    xp, size = array_module(images), images[0].size if len(images) else 0
    counters = xp.arange(2 * size, dtype=np.uint64).reshape(size, 2)
    bits = mixed(xp.asarray(keys)[:, None, None] + (counters + 1) * GOLDEN)
    u = ((bits >> 40).astype(np.float32) + 0.5) * 2.0**-24                                           # in (0, 1)
    z = xp.sqrt(-2 * xp.log(u[..., 0])) * xp.cos(float(np.float32(2 * np.pi)) * u[..., 1])
    noise = (floats(images, deviations)[:, None] * z).reshape(images.shape)
    return rounded(images.astype(np.float32) + noise, images.dtype)


GOLDEN = 0x9E3779B97F4A7C15                      # 2**64 divided by the golden ratio, odd


def mixed(bits):
    """A bijection of uint64 in which each bit of the input changes about half of the bits of the output.

    The finalizer of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    return bits ^ (bits >> 31)


def rounded(x, dtype):
    """x as an array of `dtype` in C order: bytes are rounded and limited to 0..255."""
    xp = array_module(x)
    x = xp.clip(xp.floor(x + 0.5), 0, 255) if dtype == np.uint8 else x
    return xp.ascontiguousarray(x.astype(dtype))
