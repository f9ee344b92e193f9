"""Transforms that move whole rows and columns: crops and flips."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.augment.draws import Draws
from minidl.augment.transform import Transform, probability
from minidl.functional.checks import is_whole
from minidl.kernels import Taps, byte_backend
from minidl.kernels.plain.augmentation import CONSTANT, REFLECT, REPLICATE, inside
from minidl.scalars import plain

BORDERS = {"constant": CONSTANT, "reflect": REFLECT, "edge": REPLICATE}


class Gather(Transform):
    """A transform that draws which row and column of the image each pixel comes from; -1 is `fill`."""

    fill = 0

    def apply(self, images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return byte_backend(images).gather(images, rows, columns, self.fill)

    def apply_to_masks(self, masks: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return byte_backend(masks).gather(masks, rows, columns, 0)


class RandomCrop(Gather):
    """A window of `size` at a random place.   (N, C, H, W) -> (N, C, *size)

    size          (height, width), or one number for both
    padding       pixels added on each side first: one number, (horizontal, vertical), or (left, top, right, bottom)
    fill          the brightness of added pixels, 0 to 255
    padding_mode  "constant": added pixels are `fill`; "reflect": the image is mirrored; "edge": its border is repeated
    Masks get the class 0 where pixels are added with "constant".
    """

    on_device = True

    def __init__(self, size: int | Sequence[int], padding: int | Sequence[int] = 0, fill: int = 0,
                 padding_mode: str = "constant") -> None:
        self.size = size_pair("RandomCrop", size)
        self.padding = padding
        self.left, self.top, self.right, self.bottom = sides("RandomCrop", padding)
        self.fill, self.padding_mode = brightness("RandomCrop", fill), padding_mode
        self.border = border_named("RandomCrop", padding_mode)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        h, w = shape[2:]
        height, width = h + self.top + self.bottom, w + self.left + self.right
        if self.size[0] > height or self.size[1] > width:
            raise ValueError(f"RandomCrop: size={self.size} is larger than images of {h} x {w} pixels with "
                             f"padding={self.padding}; give a larger padding or a smaller size")
        tops = draws.integers(-self.top, height - self.size[0] - self.top)
        lefts = draws.integers(-self.left, width - self.size[1] - self.left)
        return (inside(tops[:, None] + np.arange(self.size[0]), h, self.border),
                inside(lefts[:, None] + np.arange(self.size[1]), w, self.border))


class RandomHorizontalFlip(Gather):
    """Left and right exchanged with probability p."""

    on_device = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("RandomHorizontalFlip", p)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        n, _, h, w = shape
        return np.broadcast_to(np.arange(h), (n, h)), flipped(draws.chance(self.p), w)


class AlternatingFlip(Gather):
    """Left and right exchanged in every second epoch: for half of the images in the even ones, for half in the odd.

    Two epochs in succession show each image both ways, where RandomHorizontalFlip repeats itself half of the time.
    Jordan, arXiv:2404.00498, section 3.6.
    """

    on_device = True

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        n, _, h, w = shape
        chosen = draws.every_epoch().chance(0.5) ^ bool(draws.epoch % 2)
        return np.broadcast_to(np.arange(h), (n, h)), flipped(chosen, w)


class RandomVerticalFlip(Gather):
    """Top and bottom exchanged with probability p."""

    on_device = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("RandomVerticalFlip", p)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        n, _, h, w = shape
        return flipped(draws.chance(self.p), h), np.broadcast_to(np.arange(w), (n, w))


class RandomResizedCrop(Transform):
    """A window of random area and aspect ratio, resized to `size`.   (N, C, H, W) -> (N, C, *size)

    size   (height, width), or one number for both
    scale  the least and the largest area, as a part of the image's
    ratio  the least and the largest width / height, drawn uniformly on a logarithmic scale
    Pixels are weighted means over the area that they cover (bilinear, antialiased). A window that does not fit is
    made as large as the image allows at its aspect ratio.
    Szegedy et al., "Going deeper with convolutions", section 6, CVPR 2015.
    """

    on_device = True

    def __init__(self, size: int | Sequence[int], scale: Sequence[float] = (0.08, 1.0),
                 ratio: Sequence[float] = (3 / 4, 4 / 3)) -> None:
        self.size = size_pair("RandomResizedCrop", size)
        self.scale, self.ratio = (float(scale[0]), float(scale[1])), (float(ratio[0]), float(ratio[1]))
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"RandomResizedCrop: scale={scale!r} must be two parts of the area, 0 < low <= high <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1] < float("inf"):
            raise ValueError(f"RandomResizedCrop: ratio={ratio!r} must be two aspect ratios, 0 < low <= high")

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        h, w = shape[2:]
        area, aspect = draws.uniform(*self.scale) * h * w, np.exp(draws.uniform(*np.log(self.ratio)))
        area = np.minimum(area, np.minimum(w**2 / aspect, h**2 * aspect))     # what fits at this aspect ratio
        heights = np.clip(np.rint(np.sqrt(area / aspect)), 1, h)
        widths = np.clip(np.rint(np.sqrt(area * aspect)), 1, w)
        return (draws.integers(0, h - heights), heights, h), (draws.integers(0, w - widths), widths, w)

    def apply(self, images: np.ndarray, rows: Any, columns: Any) -> np.ndarray:
        taps = [resizing(first, lengths, n, out)
                for (first, lengths, n), out in zip((rows, columns), self.size, strict=True)]
        return byte_backend(images).blend_each(images, *taps)

    def apply_to_masks(self, masks: np.ndarray, rows: Any, columns: Any) -> np.ndarray:
        nearest = [np.floor(first[:, None] + (np.arange(out) + 0.5) * (lengths / out)[:, None]).astype(np.int64)
                   for (first, lengths, _), out in zip((rows, columns), self.size, strict=True)]
        return byte_backend(masks).gather(masks, *nearest, 0)


def resizing(first: np.ndarray, lengths: np.ndarray, n: int, out: int) -> Taps:
    """The Taps (N, out, K) that resize `lengths` pixels from `first` on, of an axis of n pixels, to `out` pixels.

    Triangular weights as wide as an output pixel, at least as wide as an input pixel.
    """
    step = lengths / out
    reach = np.maximum(step, 1)
    middle = (np.arange(out) + 0.5) * step[:, None] - 0.5
    taps = int(np.ceil(2 * reach.max(initial=1))) + 1
    index = np.ceil(middle - reach[:, None])[:, :, None] + np.arange(taps)
    weight = np.maximum(0, 1 - np.abs(index - middle[:, :, None]) / reach[:, None, None])
    weight = weight * ((index >= 0) & (index < lengths[:, None, None]))
    weight /= weight.sum(2, keepdims=True)
    index = np.clip(index, 0, lengths[:, None, None] - 1) + first[:, None, None]
    return Taps(np.clip(index, 0, n - 1).astype(np.int64), weight.astype(np.float32))


def flipped(chosen: np.ndarray, n: int) -> np.ndarray:
    """(N, n): the indices of an axis, backwards where `chosen`."""
    return np.where(chosen[:, None], np.arange(n)[::-1], np.arange(n))


# Settings

def size_pair(name: str, size: Any) -> tuple[int, int]:
    """(height, width) from one whole number or two, at least 1."""
    chosen = plain(size)
    both = tuple(chosen) if isinstance(chosen, tuple | list) else (chosen, chosen)
    if len(both) != 2 or not all(is_whole(n) and n >= 1 for n in both):
        raise ValueError(f"{name}: size={size!r} must be a whole number of at least 1, or two, (height, width)")
    return int(both[0]), int(both[1])


def sides(name: str, padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from one whole number, (horizontal, vertical), or four."""
    chosen = plain(padding)
    given = tuple(chosen) if isinstance(chosen, tuple | list) else (chosen,)
    if len(given) not in (1, 2, 4) or not all(is_whole(n) and n >= 0 for n in given):
        raise ValueError(f"{name}: padding={padding!r} must be a whole number of at least 0, or two, or four")
    left, top, right, bottom = (int(n) for n in given * (4 // len(given)))
    return left, top, right, bottom


def brightness(name: str, fill: Any) -> int:
    """`fill` as a Python number from 0 to 255."""
    chosen = plain(fill)
    if not is_whole(chosen) or not 0 <= chosen <= 255:
        raise ValueError(f"{name}: fill={fill!r} must be a whole number from 0 to 255")
    return int(chosen)


def border_named(name: str, mode: str) -> int:
    """The number that kernels have for a border."""
    if mode not in BORDERS:
        raise ValueError(f"{name}: padding_mode={mode!r} is none of {', '.join(BORDERS)}")
    return BORDERS[mode]
