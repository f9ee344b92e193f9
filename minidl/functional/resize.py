"""Resizing images: each output pixel is a weighted mean of the input pixels nearest to its position.

Rows and columns are independent. For each axis a small table, `Taps`, lists the inputs of each output and their
weights; the kernel `resample` applies two such tables, and the gradient applies their transposes with the same kernel.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.functional.checks import Pair, check_images, is_real, pair, unwrapped
from minidl.kernels import Taps, backend
from minidl.tensor import Operand, op

MODES = ("nearest", "bilinear")


@op
def interpolate(x: Operand, /, size: Pair | None = None, scale_factor: float | Sequence[float] | None = None,
                mode: str = "nearest", align_corners: bool | None = None):
    """x resized.   (N, C, H, W) -> (N, C, OH, OW)

    size           (OH, OW), or one number for both
    scale_factor   OH / H and OW / W instead: OH = floor(scale_factor * H); one number, or two
    mode           "nearest": output row y is input row floor(y * H / OH)
                   "bilinear": it is interpolated linearly at input row (y + 1/2) * H / OH - 1/2
    align_corners  for "bilinear" only: it is at input row y * (H - 1) / (OH - 1), so that the corners keep their values
    With a scale_factor, 1 / scale_factor replaces H / OH, as in PyTorch, unless OH is H.
    """
    check_images("interpolate", x)
    if mode not in MODES:
        raise ValueError(f"interpolate: mode={mode!r} is none of {', '.join(MODES)}")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners applies only to mode='bilinear'")
    shape, kernels = x.shape[2:], backend(x)
    size, steps = size_and_steps(shape, size, scale_factor)
    (rows, rows_transposed), (columns, columns_transposed) = [
        nearest(n, out, step) if mode == "nearest" else linear(n, out, step, bool(align_corners))
        for n, out, step in zip(shape, size, steps, strict=True)]

    def backward(grad):
        return kernels.resample(grad, rows_transposed, columns_transposed)
    return kernels.resample(x, rows, columns), backward


def size_and_steps(shape: Any, size: Any, scale_factor: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """(OH, OW) for images of `shape` (H, W), and the distance between output pixels in input pixels, per axis."""
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    if size is not None:
        size = pair("interpolate", "size", size, 1)
        if 0 in shape:
            raise ValueError(f"interpolate: images of {shape} pixels are empty")
        return size, tuple(n / out for n, out in zip(shape, size, strict=True))
    scales = unwrapped(scale_factor)
    scales = scales if isinstance(scales, tuple) else (scales, scales)
    if len(scales) != 2 or not all(is_real(s) and 0 < s < math.inf for s in scales):
        raise ValueError(f"interpolate: scale_factor={scale_factor!r} must be a number above 0, or two of them")
    size = tuple(math.floor(n * float(s)) for n, s in zip(shape, scales, strict=True))
    if min(size) < 1:
        raise ValueError(f"interpolate: scale_factor={scale_factor} turns images of {shape} pixels into {size}")
    return size, tuple(1.0 if out == n else 1 / float(s) for n, out, s in zip(shape, size, scales, strict=True))


@functools.lru_cache(maxsize=256)
def nearest(n: int, out: int, step: float) -> tuple[Taps, Taps]:
    """The Taps that resize n pixels to `out` by copying the nearest, and the transposed Taps for the gradient.

    Rounding may decide which pixel is the nearest. So, as in PyTorch, positions are computed in float32, and doubling
    the size copies each pixel twice for any scale_factor.
    """
    step = 0.5 if out == 2 * n else step
    index = np.floor(np.arange(out, dtype=np.float32) * np.float32(step)).astype(np.int64)
    taps = Taps(np.minimum(index, n - 1)[:, None], np.ones((out, 1)))
    return taps, taps.transposed(n)


@functools.lru_cache(maxsize=256)
def linear(n: int, out: int, step: float, align_corners: bool) -> tuple[Taps, Taps]:
    """The Taps that resize n pixels to `out` by linear interpolation, and the transposed Taps for the gradient."""
    if align_corners:
        position = np.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0)
    else:
        position = np.maximum((np.arange(out) + 0.5) * step - 0.5, 0)
    above = np.minimum(np.floor(position).astype(np.int64), n - 1)
    below = np.minimum(above + 1, n - 1)
    weight = np.minimum(position - above, 1)
    taps = Taps(np.stack([above, below], axis=1), np.stack([1 - weight, weight], axis=1))
    return taps, taps.transposed(n)
