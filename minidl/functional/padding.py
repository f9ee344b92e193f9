"""Padding: more pixels around an image, of one value or taken from the image itself."""

import functools

import numpy as np

from minidl.device import array_module
from minidl.functional.pooling import check_images
from minidl.kernels import backend
from minidl.kernels.geometry import Taps
from minidl.tensor import op

MODES = ("constant", "reflect", "replicate")


def pad(x, /, pad, mode="constant", value=0.0):
    """x with more around it; `pad` is (left, right, top, bottom, ...), the last axis first, as in PyTorch.

    pad=(1, 2) on (N, C, H, W) -> (N, C, H, W + 3). Negative numbers cut.
    mode   "constant": the border is `value`, along any axes
           "reflect": the image mirrored at its outermost pixels, which are not repeated;  2 1 | 0 1 2 3 | 2 1
           "replicate": the outermost pixels repeated;  0 0 | 0 1 2 3 | 3 3
           these two along the rows and columns of images (N, C, H, W) alone
    """
    if mode not in MODES:
        raise ValueError(f"pad: mode={mode!r} is none of {', '.join(MODES)}")
    return _pad(x, pad=tuple(pad), value=float(value)) if mode == "constant" else _copy(x, pad=tuple(pad), mode=mode)


@op
def _pad(x, /, *, pad, value):
    pairs = pairs_of(pad, x.shape)
    shape = tuple(n + low + high for n, (low, high) in zip(x.shape, pairs, strict=True))
    inner = tuple(slice(max(low, 0), n - max(high, 0)) for n, (low, high) in zip(shape, pairs, strict=True))
    kept = tuple(slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape, pairs, strict=True))
    before, xp = x.shape, array_module(x)
    out = xp.full_like(x, value, shape=shape)                            # in x's order of memory
    out[inner] = x[kept]

    def backward(grad):
        dx = xp.zeros_like(grad, shape=before)
        dx[kept] = grad[inner]
        return dx
    return out, backward


@op
def _copy(x, /, *, pad, mode):
    check_images("pad", x)
    pairs = pairs_of(pad, x.shape)
    if any(map(any, pairs[:2])):
        raise ValueError(f"pad: mode={mode!r} pads the last two axes of images alone, not all of pad={pad}")
    for n, ends in zip(x.shape[2:], pairs[2:], strict=True):
        if n == 0 or (mode == "reflect" and max(ends) >= n):
            raise ValueError(f"pad: pad={pad} takes more than mode={mode!r} finds in images of {x.shape[2:]} pixels")
        if n + sum(ends) == 0:
            raise ValueError(f"pad: pad={pad} leaves nothing of images of {x.shape[2:]} pixels")
    kernels = backend(x)
    (rows, rows_back), (columns, columns_back) = [
        copies(n, *ends, mode) for n, ends in zip(x.shape[2:], pairs[2:], strict=True)]

    def backward(grad):
        return kernels.resample(grad, rows_back, columns_back)
    return kernels.resample(x, rows, columns), backward


def pairs_of(pad, shape):
    """(low, high) for each axis of `shape` from PyTorch's flat `pad`, checked."""
    if len(pad) % 2 or len(pad) > 2 * len(shape) or not all(isinstance(p, int) for p in pad):
        raise ValueError(f"pad: pad={pad} must be pairs of whole numbers, at most {len(shape)} pairs for shape {shape}")
    pairs = [(0, 0)] * (len(shape) - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2], strict=True))
    if any(n + low + high < 0 for n, (low, high) in zip(shape, pairs, strict=True)):
        raise ValueError(f"pad: pad={pad} cuts away more than there is of shape {shape}")
    return pairs


@functools.lru_cache(maxsize=256)
def copies(n, low, high, mode):
    """The Taps that put `low` pixels before and `high` behind n pixels, and those of the gradient."""
    index = np.arange(-low, n + high)
    index = np.clip(index, 0, n - 1) if mode == "replicate" else n - 1 - abs(n - 1 - abs(index))
    taps = Taps(index[:, None], np.ones((len(index), 1)))
    return taps, taps.transposed(n)
