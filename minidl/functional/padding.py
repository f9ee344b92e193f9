"""Padding: a border around an image, constant or copied from the image itself."""

import functools
from collections.abc import Sequence

import numpy as np

from minidl.functional.checks import check_images, real, wholes
from minidl.kernels import Taps, backend
from minidl.tensor import Operand, Tensor, op

MODES = ("constant", "reflect", "replicate")


def pad(x: Operand, /, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """x with a border; `pad` is (left, right, top, bottom, ...), starting with the last axis, as in PyTorch.

    pad=(1, 2) on (N, C, H, W) -> (N, C, H, W + 3). Negative elements crop.
    mode   "constant": the border is `value`; for any axes
           "reflect": the image is mirrored at its outermost pixels, which are not repeated;  2 1 | 0 1 2 3 | 2 1
           "replicate": the outermost pixels are repeated;  0 0 | 0 1 2 3 | 3 3
           these two only for the rows and columns of images (N, C, H, W)
    """
    if mode not in MODES:
        raise ValueError(f"pad: mode={mode!r} is none of {', '.join(MODES)}")
    pad = wholes("pad", "pad", pad)
    if mode == "constant":
        return _pad(x, pad=pad, value=real("pad", "value", value))
    return _copy(x, pad=pad, mode=mode)


@op
def _pad(x: Operand, /, *, pad: tuple[int, ...], value: float):
    pairs = pairs_of(pad, x.shape)
    shape = tuple(n + low + high for n, (low, high) in zip(x.shape, pairs, strict=True))
    inner = tuple(slice(max(low, 0), n - max(high, 0)) for n, (low, high) in zip(shape, pairs, strict=True))
    kept = tuple(slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape, pairs, strict=True))
    before, kernels = x.shape, backend(x)

    def backward(grad):
        return kernels.place(grad[inner], kept, before, grad)
    return kernels.place(x[kept], inner, shape, x, value), backward


@op
def _copy(x: Operand, /, *, pad: tuple[int, ...], mode: str):
    check_images("pad", x)
    pairs = pairs_of(pad, x.shape)
    if any(map(any, pairs[:2])):
        raise ValueError(f"pad: mode={mode!r} pads only the last two axes of images, but pad={pad} has more")
    for n, ends in zip(x.shape[2:], pairs[2:], strict=True):
        if n == 0 or (mode == "reflect" and max(ends) >= n):
            raise ValueError(f"pad: pad={pad} is too large for mode={mode!r} on images of {x.shape[2:]} pixels")
        if n + sum(ends) == 0:
            raise ValueError(f"pad: pad={pad} leaves nothing of images of {x.shape[2:]} pixels")
    kernels = backend(x)
    (rows, rows_transposed), (columns, columns_transposed) = [
        copies(n, *ends, mode) for n, ends in zip(x.shape[2:], pairs[2:], strict=True)]

    def backward(grad):
        return kernels.resample(grad, rows_transposed, columns_transposed)
    return kernels.resample(x, rows, columns), backward


def pairs_of(pad: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """(low, high) for each axis of `shape`, from PyTorch's flat `pad`."""
    if len(pad) % 2 or len(pad) > 2 * len(shape):
        raise ValueError(f"pad: pad={pad} must be pairs of whole numbers, at most {len(shape)} pairs for shape {shape}")
    pairs = [(0, 0)] * (len(shape) - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2], strict=True))
    if any(n + low + high < 0 for n, (low, high) in zip(shape, pairs, strict=True)):
        raise ValueError(f"pad: pad={pad} crops more than the shape {shape} has")
    return pairs


@functools.lru_cache(maxsize=256)
def copies(n: int, low: int, high: int, mode: str) -> tuple[Taps, Taps]:
    """The Taps that put `low` pixels before and `high` after n pixels, and the transposed Taps for the gradient."""
    index = np.arange(-low, n + high)
    index = np.clip(index, 0, n - 1) if mode == "replicate" else n - 1 - abs(n - 1 - abs(index))
    taps = Taps(index[:, None], np.ones((len(index), 1)))
    return taps, taps.transposed(n)
