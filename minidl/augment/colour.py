"""Transforms that change colours and leave every pixel where it is."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.augment.affine import gaussian
from minidl.augment.draws import Draws
from minidl.augment.transform import Transform, bounds, interval, probability
from minidl.kernels import byte_backend

LUMA = np.array([0.299, 0.587, 0.114], np.float32)       # ITU-R BT.601: the brightness of red, green and blue


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    brightness, contrast, saturation   the factor: a number v for max(0, 1 - v) to 1 + v, or (low, high)
    hue                                the turn of the colour circle, as a part of it: a number v up to 0.5 for -v to v,
                                       or (low, high)
    On grey images saturation and hue have no effect. Hue is turned in the YIQ colour space, about the grey axis, not in
    HSV as in torchvision, and values are limited to 0..255 once, at the end.
    """

    on_device = True

    def __init__(self, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
                 saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0) -> None:
        name = "ColorJitter"
        self.brightness = interval(name, "brightness", brightness, 1.0, 0.0)
        self.contrast = interval(name, "contrast", contrast, 1.0, 0.0)
        self.saturation = interval(name, "saturation", saturation, 1.0, 0.0)
        self.hue = interval(name, "hue", hue, 0.0, -0.5)
        if self.hue[1] > 0.5:
            raise ValueError(f"{name}: hue={hue!r} must not exceed 0.5, half of the colour circle")

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        factors = [draws.uniform(*v) for v in (self.brightness, self.contrast, self.saturation, self.hue)]
        return (np.stack(factors, axis=1), draws.order(4))

    def apply(self, images: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
        """All four are linear in the channels of a pixel and in their means, and so is their product."""
        colours = images.shape[1]
        check_colours("ColorJitter", colours)
        matrices, of_means = np.tile(np.eye(colours), (len(images), 1, 1)), np.zeros((len(images), colours, colours))
        for kinds in order.T:
            own, of_own = one_change(kinds, np.take_along_axis(factors, kinds[:, None], axis=1)[:, 0], colours)
            matrices, of_means = own @ matrices, own @ of_means + of_own @ (matrices + of_means)
        return recolour(images, matrices, of_means)


def recolour(images: np.ndarray, matrices: np.ndarray, of_means: np.ndarray) -> np.ndarray:
    """The channels of each pixel, and their means over the image, multiplied by matrices (N, C, C) and added."""
    return byte_backend(images).mix_channels(images, matrices, of_means if of_means.any() else None)  # type: ignore[no-any-return]


BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def one_change(kinds: np.ndarray, f: np.ndarray, colours: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrices (N, C, C) of one change of each image: what its channels, and what their means, are multiplied by.

    kinds, f   (N,), which change and how strong: the factor, or a part of the colour circle
    """
    luma = LUMA if colours == 3 else np.ones(1)
    factor, kinds = np.where(kinds == HUE, 1.0, f)[:, None, None], kinds[:, None, None]
    grey = (1 - factor) * np.tile(luma, (colours, 1))
    matrix = factor * np.eye(colours) + np.where(kinds == SATURATION, grey, 0.0)         # towards the pixel's grey
    if colours == 3:
        matrix = np.where(kinds == HUE, hue_rotation(np.where(kinds[:, 0, 0] == HUE, f, 0.0)), matrix)
    return matrix, np.where(kinds == CONTRAST, grey, 0.0)                                # towards the image's grey


# Brightness and two colour differences of red, green and blue, as in NTSC television.
YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def hue_rotation(turns: np.ndarray) -> np.ndarray:
    """The matrices (N, 3, 3) that turn the hue by a part of the colour circle and keep the brightness."""
    cos, sin = np.cos(2 * math.pi * turns), np.sin(2 * math.pi * turns)
    rotation = np.zeros((len(turns), 3, 3))
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1], rotation[:, 1, 2] = cos, -sin
    rotation[:, 2, 1], rotation[:, 2, 2] = sin, cos
    return np.linalg.inv(YIQ) @ rotation @ YIQ


class RandomGrayscale(Transform):
    """The image in grey, in all its channels, with probability p."""

    on_device = True

    def __init__(self, p: float = 0.1) -> None:
        self.p = probability("RandomGrayscale", p)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        return (draws.chance(self.p),)

    def apply(self, images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        check_colours("RandomGrayscale", images.shape[1])
        if images.shape[1] == 1:
            return images.copy()
        matrices = np.where(chosen[:, None, None], np.tile(LUMA, (3, 1)), np.eye(3))
        return byte_backend(images).mix_channels(images, matrices)


class GaussianBlur(Transform):
    """Each pixel the mean of its surroundings, weighted by a Gaussian; the border is mirrored.

    kernel_size   the height and width of the surroundings, odd
    sigma         the standard deviation in pixels, drawn uniformly: one number, or (low, high)
    """

    on_device = True

    def __init__(self, kernel_size: int, sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        if not isinstance(kernel_size, int | np.integer) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"GaussianBlur: kernel_size={kernel_size!r} must be odd and at least 1")
        self.kernel_size = int(kernel_size)
        self.sigma = bounds("GaussianBlur", "sigma", sigma, 0.01, 1000.0)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        return (gaussian(draws.uniform(*self.sigma), self.kernel_size // 2),)

    def apply(self, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return byte_backend(images).blur(images, weights)


class GaussianNoise(Transform):
    """Independent noise added to each pixel and channel, with a standard deviation drawn from `sigma` per image.

    sigma   (low, high) or one number, for pixels from 0 to 1
    """

    on_device = True

    def __init__(self, sigma: float | Sequence[float] = 0.1) -> None:
        self.sigma = bounds("GaussianNoise", "sigma", sigma, 0.0, 1.0)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        return draws.bits(), draws.uniform(*self.sigma) * 255

    def apply(self, images: np.ndarray, keys: np.ndarray, deviations: np.ndarray) -> np.ndarray:
        return byte_backend(images).add_noise(images, keys, deviations)


def check_colours(name: str, channels: int) -> None:
    """Raise ValueError unless images are grey or red, green and blue."""
    if channels not in (1, 3):
        raise ValueError(f"{name}: images must have 1 channel (grey) or 3 (red, green, blue), not {channels}")
