"""Resize: each output pixel is a weighted sum of input pixels near its position, by the rules of its attributes.

The rules give, for each axis, a table of inputs and weights (`Taps`); `resample` applies it.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.kernels import Taps
from minidl.onnx.reading.functions import array, check_images, ints, resample
from minidl.onnx.source import Operator, check_room

POSITIONS: dict[str, Callable] = {               # of the outputs o, of n inputs, with a scale, for `out` outputs
    "half_pixel": lambda o, n, scale, out: (o + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda o, n, scale, out: (o + 0.5) / scale - 0.5 if out > 1 else o * 0.0,
    "half_pixel_symmetric": lambda o, n, scale, out: (
        n / 2 * (1 - out / (n * scale)) + (o + 0.5) / scale - 0.5),
    "align_corners": lambda o, n, scale, out: o * ((n - 1) / (n * scale - 1)) if n * scale > 1 else o * 0.0,
    "asymmetric": lambda o, n, scale, out: o / scale,
}
ROUNDING: dict[str, Callable] = {
    "round_prefer_floor": lambda p: np.ceil(p - 0.5),
    "round_prefer_ceil": lambda p: np.floor(p + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(node: Operator, x: Any, *more: Any) -> Any:
    """Opset 10 has (x, scales); later ones (x, roi, scales, sizes)."""
    check_images(node, x)
    scales, sizes = (more[0], None) if node.opset < 11 else (*more[1:], None, None)[:2]
    coordinates = node.get("coordinate_transformation_mode", "asymmetric" if node.opset < 11 else "half_pixel")
    nearest = node.get("nearest_mode", "floor" if node.opset < 11 else "round_prefer_floor")
    if (coordinates not in POSITIONS or node.get("antialias", 0) or node.get("exclude_outside", 0)
            or node.get("keep_aspect_ratio_policy", "stretch") != "stretch"):
        raise node.refused("antialias, exclude_outside, a region of interest or a kept aspect ratio",
                           f"the coordinates {', '.join(POSITIONS)} are, with the sizes written out")
    axes = [axis % 4 for axis in node.get("axes", range(4))]
    if sizes is not None and array(sizes).size:
        chosen = dict(zip(axes, ints(sizes), strict=True))
        out = [chosen.get(axis, x.shape[axis]) for axis in range(4)]
        factors = [o / n if n else 1.0 for o, n in zip(out, x.shape, strict=True)]
    else:
        factors = [1.0] * 4
        for axis, factor in zip(axes, array(scales).reshape(-1).tolist(), strict=True):
            factors[axis] = factor
        out = [int(np.floor(n * f)) for n, f in zip(x.shape, factors, strict=True)]
    return resized(node, x, out, factors, coordinates, nearest, node.get("cubic_coeff_a", -0.75))


def upsample(node: Operator, x: Any, scales: Any = None) -> Any:
    """The operator of opsets 7 to 9, which Resize replaced."""
    check_images(node, x)
    factors = list(node.get("scales")) if scales is None else array(scales).reshape(-1).tolist()
    out = [int(np.floor(n * f)) for n, f in zip(x.shape, factors, strict=True)]
    return resized(node, x, out, factors, "asymmetric", "floor", -0.75)


def resized(node: Operator, x: Any, out: list[int], factors: list[float], coordinates: str, nearest: str,
            cubic: float) -> Any:
    """x in another size. Of the first axes, those of images and channels, none may change."""
    if out[1] != x.shape[1] or (x.shape[0] and out[0] != x.shape[0]) or min(out[2:]) < 1:
        raise node.refused(f"resizing {x.shape} to {tuple(out)}", "new heights and widths of at least 1 are")
    check_room(f"{node.kind} {node.name!r}", out)
    mode = node.get("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise node.refused(f"mode {mode!r}", "nearest, linear and cubic are")
    rows, columns = (taps(n, o, float(f), mode, coordinates, nearest, cubic)
                     for n, o, f in zip(x.shape[2:], out[2:], factors[2:], strict=True))
    return resample(x, rows=rows, columns=columns)


@functools.lru_cache(maxsize=256)
def taps(n: int, out: int, scale: float, mode: str, coordinates: str, nearest: str, cubic: float) -> Taps:
    """The table of one axis, from n pixels to `out`."""
    if n == out and scale == 1:
        return Taps(np.arange(n)[:, None], np.ones((n, 1)))
    position = POSITIONS[coordinates](np.arange(out), n, scale, out)
    if mode == "nearest":
        return Taps(np.clip(ROUNDING[nearest](position), 0, n - 1).astype(np.int64)[:, None], np.ones((out, 1)))
    below = np.floor(position).astype(np.int64)
    ratio = position - below
    first = 0 if mode == "linear" else -1
    weights = [1 - ratio, ratio] if mode == "linear" else cubic_weights(ratio, cubic)
    index = np.stack([np.clip(below + first + i, 0, n - 1) for i in range(len(weights))], axis=1)
    return Taps(index, np.stack(weights, axis=1))


def cubic_weights(t: np.ndarray, a: float) -> list[np.ndarray]:
    """The weights of four neighbours at distances 1 + t, t, 1 - t, 2 - t.

    Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech, and
    Signal Processing 29 (1981).
    """
    return [((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a,
            ((a + 2) * t - (a + 3)) * t * t + 1,
            ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1,
            ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a]
