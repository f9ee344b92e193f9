"""Augmentation of images on the device. What was drawn for each image may come from the CPU: it is copied first."""

import numpy as np

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, below_2_31, blocks
from minidl.kernels.gpu.layout import contiguous
from minidl.kernels.gpu.runtime.launcher import launch

SIZE = np.dtype([(name, np.int32) for name in ("c", "h", "w", "oh", "ow")])
BOX = np.dtype([(name, np.int32) for name in ("top", "left", "bottom", "right")])
FLOAT = ("PIXEL=float",)


def gather(images, rows, columns, fill):
    return run("gather", images, (rows.shape[1], columns.shape[1]), (indices(images, rows), indices(images, columns)),
               (fill,))


def warp(images, matrices, size, bilinear, border, fill):
    return run("warp", images, size, (floats(images, matrices),), (bilinear, border, fill))


def displace(images, fields, bilinear, border, fill):
    return run("displace", images, images.shape[2:], (floats(images, fields),), (bilinear, border, fill))


def blend_each(images, rows, columns):
    taps = (indices(images, rows.index), floats(images, rows.weight), indices(images, columns.index),
            floats(images, columns.weight))
    return run("blend_each", images, (rows.index.shape[1], columns.index.shape[1]), taps,
               (rows.index.shape[2], columns.index.shape[2]))


def look_up(images, tables):
    return run("look_up", images, images.shape[2:], (on_device(images, tables, np.uint8),), (), elements=True)


def level_tables(images, kinds):
    images, (n, c) = contiguous(images), images.shape[:2]
    tables = array_module(images).empty((n, c, 256), dtype=np.uint8)
    each_channel("level_tables", images, indices(images, kinds), tables)
    return tables


def mix_channels(images, matrices, of_means=None):
    sums = None
    if of_means is not None:
        images, of_means = contiguous(images), on_device(images, of_means, np.float64)
        sums = array_module(images).empty(images.shape[:2], dtype=np.float64)
        each_channel("channel_sums", images, sums)
    return run("mix_channels", images, images.shape[2:], (floats(images, matrices), of_means, sums), ())


def each_channel(kernel, images, *args):
    """Launch a kernel with a block for each channel of each image."""
    n, c, h, w = images.shape
    below_2_31("the pixels of an image", h * w)
    if n:
        launch(images, "augmentation.cu", kernel, (n * c,), (THREADS,), images, *args, size_of(images, (h, w)),
               defines=variant(images))


def sharpen(images, factors):
    return run("sharpen", images, images.shape[2:], (floats(images, factors),), (), elements=True)


def erase(images, boxes, value):
    return run("erase", images, images.shape[2:], (indices(images, boxes),), (value,), elements=True)


def mix_pairs(images, share, box):
    numbers = np.float32(share), np.float32(1 - share), np.array([tuple(box)], BOX)
    return run("mix_pairs", images, images.shape[2:], (), numbers, elements=True)


def noise_fields(images, keys, alpha):
    n, size = len(keys), 2 * images.shape[2] * images.shape[3]
    below_2_31("the pixels of an image", size)
    fields = array_module(images).empty((n, 2, *images.shape[2:]), dtype=np.float32)
    if n:
        launch(images, "augmentation.cu", "noise_fields", (blocks(n * -(-size // 8)),), (THREADS,),
               on_device(images, keys, np.uint64), fields, n, size, alpha)
    return fields


def blur(images, weights):
    images, taps, weights = contiguous(images), weights.shape[1], floats(images, weights)
    xp, size = array_module(images), size_of(images, images.shape[2:])
    sums, out, grid = xp.empty(images.shape, dtype=np.float32), xp.empty_like(images), (blocks(images.size),)
    for kernel, source, target in (("blur_columns", images, sums), ("blur_rows", sums, out)):
        launch(images, "augmentation.cu", kernel, grid, (THREADS,), source, weights, target, size, images.size, taps,
               defines=variant(images))
    return out


def add_noise(images, keys, deviations):
    arrays = on_device(images, keys, np.uint64), floats(images, deviations)
    return run("add_noise", images, images.shape[2:], arrays, (), elements=True)


def run(kernel, images, size, arrays, numbers, elements=False):
    """kernel(images, *arrays, out, Size, pixels or elements, *numbers)   ->  out (N, C, *size)"""
    images = contiguous(images)
    out = array_module(images).empty((*images.shape[:2], *size), dtype=images.dtype)
    count = out.size if elements else len(images) * size[0] * size[1]
    if out.size:
        launch(images, "augmentation.cu", kernel, (blocks(count),), (THREADS,), images, *arrays, out,
               size_of(images, size), count, *numbers, defines=variant(images))
    return out


def size_of(images, size):
    """The structure Size of augmentation.cu."""
    return np.array([(*images.shape[1:], *size)], SIZE)


def variant(images):
    """The define for images of floats."""
    return FLOAT if images.dtype == np.float32 else ()


def indices(images, v):
    return on_device(images, v, np.int64)


def floats(images, v):
    return on_device(images, v, np.float32)


def on_device(images, v, dtype):
    """An array of the CPU or of the device, on the device of the images, C-contiguous and of that dtype."""
    v = np.ascontiguousarray(v, dtype) if isinstance(v, np.ndarray) else v.astype(dtype, copy=False)
    return contiguous(array_module(images).asarray(v))
