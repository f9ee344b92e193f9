"""Images enlarged and shrunk: each output pixel is a blend of the input pixels nearest to where it falls.

Rows and columns are dealt with apart. For each axis a small table, `Taps`, says which inputs an output is made of; the
kernel `resample` works by two such tables, and the gradient is the same kernel by the transposed ones.
"""

import functools
import math
from numbers import Real

import numpy as np

from minidl.functional.convolution import pair
from minidl.functional.pooling import check_images
from minidl.kernels import backend
from minidl.kernels.geometry import Taps
from minidl.tensor import op

MODES = ("nearest", "bilinear")


@op
def interpolate(x, /, size=None, scale_factor=None, *, mode="nearest", align_corners=None):
    """x at another size.   (N, C, H, W) -> (N, C, OH, OW)

    size           (OH, OW), or one number for both
    scale_factor   OH / H and OW / W instead: OH = floor(scale_factor * H); one number, or two
    mode           "nearest": output pixel y shows row floor(y * H / OH)
                   "bilinear": it falls on row (y + 1/2) * H / OH - 1/2, and blends the rows above and below that place
    align_corners  only for "bilinear": it falls on row y * (H - 1) / (OH - 1), so the corners keep their values
    With a scale_factor, H / OH stands for 1 / scale_factor, as in PyTorch, unless OH is H.
    """
    check_images("interpolate", x)
    if mode not in MODES:
        raise ValueError(f"interpolate: mode={mode!r} is none of {', '.join(MODES)}")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners is a setting of mode='bilinear' alone")
    shape, kernels = x.shape[2:], backend(x)
    size, steps = size_and_steps(shape, size, scale_factor)
    (rows, rows_back), (columns, columns_back) = [
        nearest(n, out, step) if mode == "nearest" else linear(n, out, step, bool(align_corners))
        for n, out, step in zip(shape, size, steps, strict=True)]

    def backward(grad):
        return kernels.resample(grad, rows_back, columns_back)
    return kernels.resample(x, rows, columns), backward


def size_and_steps(shape, size, scale_factor):
    """(OH, OW) for images of `shape` (H, W), and how many input pixels, down and across, one output pixel spans."""
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    if size is not None:
        size = pair("interpolate", "size", size, 1)
        if 0 in shape:
            raise ValueError(f"interpolate: images of {shape} pixels have nothing to show")
        return size, tuple(n / out for n, out in zip(shape, size, strict=True))
    scales = tuple(scale_factor) if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
    if len(scales) != 2 or not all(isinstance(s, Real) and 0 < s < math.inf for s in scales):
        raise ValueError(f"interpolate: scale_factor={scale_factor!r} must be a number above 0, or two of them")
    size = tuple(math.floor(n * float(s)) for n, s in zip(shape, scales, strict=True))
    if min(size) < 1:
        raise ValueError(f"interpolate: scale_factor={scale_factor} makes images of {size} pixels of those of {shape}")
    return size, tuple(1.0 if out == n else 1 / float(s) for n, out, s in zip(shape, size, scales, strict=True))


@functools.lru_cache(maxsize=256)
def nearest(n, out, step):
    """The Taps that take n pixels to `out` by showing the nearest, and those of the gradient.

    Places are computed in float32, and twice the pixels shows each twice whatever the scale_factor was, as in PyTorch:
    the rounding may decide which pixel is shown.
    """
    step = 0.5 if out == 2 * n else step
    index = np.floor(np.arange(out, dtype=np.float32) * np.float32(step)).astype(np.int64)
    taps = Taps(np.minimum(index, n - 1)[:, None], np.ones((out, 1)))
    return taps, taps.transposed(n)


@functools.lru_cache(maxsize=256)
def linear(n, out, step, align_corners):
    """The Taps that take n pixels to `out` by blending two neighbours, and those of the gradient."""
    if align_corners:
        place = np.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0)
    else:
        place = np.maximum((np.arange(out) + 0.5) * step - 0.5, 0)
    above = np.minimum(np.floor(place).astype(np.int64), n - 1)
    below = np.minimum(above + 1, n - 1)
    share = np.minimum(place - above, 1)
    taps = Taps(np.stack([above, below], axis=1), np.stack([1 - share, share], axis=1))
    return taps, taps.transposed(n)
