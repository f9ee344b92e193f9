"""Transforms that erase a part of the image, so that the network does not rely on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.augment.crop import brightness
from minidl.augment.draws import Draws
from minidl.augment.transform import Transform, probability
from minidl.kernels import byte_backend
from minidl.scalars import whole


class Erase(Transform):
    """A transform that draws a rectangle of each image, (top, left, bottom, right), which gets the brightness `value`.

    Masks keep their classes: what is hidden is still there.
    """

    value = 0

    def apply(self, images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return byte_backend(images).erase(images, boxes, self.value)


class Cutout(Erase):
    """A square of `length` pixels erased around a random pixel, with probability p; it may reach over the border.

    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv:1708.04552 (2017).
    """

    on_device = True

    def __init__(self, length: int, p: float = 1.0, value: int = 0) -> None:
        self.length, self.p = whole("Cutout", "length", length), probability("Cutout", p)
        self.value = brightness("Cutout", value)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        h, w = shape[2:]
        length = np.where(draws.chance(self.p), self.length, 0)
        top, left = draws.integers(0, h - 1) - length // 2, draws.integers(0, w - 1) - length // 2
        return (np.maximum(0, np.stack([top, left, top + length, left + length], axis=1)),)


class RandomErasing(Erase):
    """A rectangle of random area and aspect ratio erased, with probability p.

    scale   the least and the largest area, as a part of the image's
    ratio   the least and the largest height / width, drawn uniformly on a logarithmic scale
    value   the brightness of erased pixels, 0 to 255
    Zhong et al., "Random erasing data augmentation", AAAI 2020.
    """

    on_device = True

    def __init__(self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33), ratio: Sequence[float] = (0.3, 3.3),
                 value: int = 0) -> None:
        self.p, self.value = probability("RandomErasing", p), brightness("RandomErasing", value)
        self.scale, self.ratio = (float(scale[0]), float(scale[1])), (float(ratio[0]), float(ratio[1]))
        if not 0 <= self.scale[0] <= self.scale[1] <= 1 or not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"RandomErasing: scale={scale!r} must be two parts of the area, and ratio={ratio!r} two "
                             "aspect ratios, low <= high")

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        h, w = shape[2:]
        chosen = draws.chance(self.p)
        area, aspect = draws.uniform(*self.scale) * h * w, np.exp(draws.uniform(*np.log(self.ratio)))
        height = np.where(chosen, np.clip(np.rint(np.sqrt(area * aspect)), 0, h), 0).astype(np.int64)
        width = np.where(chosen, np.clip(np.rint(np.sqrt(area / aspect)), 0, w), 0).astype(np.int64)
        top, left = draws.integers(0, h - height), draws.integers(0, w - width)
        return (np.stack([top, left, top + height, left + width], axis=1),)
