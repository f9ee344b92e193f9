"""Transforms that move pixels to places between pixels: affine maps and elastic deformation."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.augment.crop import border_named, brightness
from minidl.augment.draws import Draws
from minidl.augment.transform import Transform, interval
from minidl.kernels import byte_backend

INTERPOLATIONS = ("bilinear", "nearest")


class RandomAffine(Transform):
    """Rotation, translation, zoom and shear at random, about the centre of the image, in one interpolation.

    degrees        the angle, counter-clockwise: a number d for -d to d, or (low, high)
    translate      (a, b): up to a * width to the left or right, up to b * height up or down
    scale          (low, high), the zoom; above 1 enlarges. Drawn uniformly
    shear          degrees, parallel to the x axis: a number or (low, high); or (xlow, xhigh, ylow, yhigh) for both axes
    interpolation  "bilinear" or "nearest"; masks always use "nearest"
    fill           the brightness of what lies outside of the image, 0 to 255
    padding_mode   "constant": that is `fill`; "reflect": the image is mirrored; "edge": its border is repeated
    The default of `interpolation` is "bilinear", unlike torchvision's.
    """

    on_device = True

    def __init__(self, degrees: float | Sequence[float], translate: Sequence[float] | None = None,
                 scale: Sequence[float] | None = None, shear: float | Sequence[float] | None = None,
                 interpolation: str = "bilinear", fill: int = 0, padding_mode: str = "constant") -> None:
        name = type(self).__name__
        self.degrees = interval(name, "degrees", degrees, 0.0, -math.inf)
        self.translate, self.scale, self.shear = translate, scale, shear
        if translate is not None and not (len(translate) == 2 and all(0 <= t <= 1 for t in translate)):
            raise ValueError(f"{name}: translate={translate!r} must be two parts of the image, from 0 to 1")
        if scale is not None and not (len(scale) == 2 and 0 < scale[0] <= scale[1] < math.inf):
            raise ValueError(f"{name}: scale={scale!r} must be (low, high) with 0 < low <= high")
        self.interpolation, self.bilinear = interpolation, interpolation_named(name, interpolation)
        self.fill, self.padding_mode = brightness(name, fill), padding_mode
        self.border = border_named(name, padding_mode)
        both = tuple(shear) if isinstance(shear, tuple | list) and len(shear) == 4 else None
        self.shear_x = interval(name, "shear", both[:2] if both else (shear or 0.0), 0.0, -90.0)
        self.shear_y = interval(name, "shear", both[2:], 0.0, -90.0) if both else (0.0, 0.0)

    def draw(self, draws: Draws, shape: tuple[int, ...]) -> tuple[Any, ...]:
        h, w = shape[2:]
        across, down = self.translate or (0.0, 0.0)
        return (inverse_affine(
            (h, w), draws.uniform(*self.degrees),
            (np.rint(draws.uniform(-across, across) * w), np.rint(draws.uniform(-down, down) * h)),
            draws.uniform(*(self.scale or (1.0, 1.0))), (draws.uniform(*self.shear_x), draws.uniform(*self.shear_y))),)

    def apply(self, images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        return byte_backend(images).warp(images, matrices, images.shape[2:], self.bilinear, self.border, self.fill)

    def apply_to_masks(self, masks: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        return byte_backend(masks).warp(masks, matrices, masks.shape[2:], False, self.border, 0)


class RandomRotation(RandomAffine):
    """Rotation about the centre of the image by a random angle; the settings are those of RandomAffine."""

    on_device = True

    def __init__(self, degrees: float | Sequence[float], interpolation: str = "bilinear", fill: int = 0,
                 padding_mode: str = "constant") -> None:
        super().__init__(degrees, interpolation=interpolation, fill=fill, padding_mode=padding_mode)


def inverse_affine(size: tuple[int, ...], angle: Any, translate: tuple[Any, Any], scale: Any,
                   shear: tuple[Any, Any]) -> np.ndarray:
    """The matrices (N, 2, 3) that map (row, column, 1) of a changed image to (row, column) of the original.

    The change, about the centre of an image of `size` (H, W), is first a shear, then a zoom, then a rotation, then a
    translation. All arguments are arrays (N,): degrees counter-clockwise, pixels to the right and down, a factor,
    degrees along x and y.
    """
    angle, shear_x, shear_y = np.deg2rad(angle), *(np.deg2rad(s) for s in shear)
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones_like(angle), np.zeros_like(angle)
    rotation = matrices([[cos, sin], [-sin, cos]])                          # of (x, y); y points down
    along_x = matrices([[one, -np.tan(shear_x)], [zero, one]])
    along_y = matrices([[one, zero], [-np.tan(shear_y), one]])
    forward = rotation @ along_y @ along_x * np.reshape(scale, (-1, 1, 1))
    center = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    inverse = np.linalg.inv(forward)[:, ::-1, ::-1]                         # of (row, column)
    moved = (center + np.stack(translate, axis=1))[:, ::-1, None]
    return np.concatenate([inverse, center[::-1, None] - inverse @ moved], axis=2)


def matrices(rows: list[list[np.ndarray]]) -> np.ndarray:
    """(N, 2, 2) from four arrays (N,)."""
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


class ElasticTransform(Transform):
    """Each pixel taken from a place a little beside it; neighbouring pixels move alike.

    alpha   the strength, in pixels before smoothing
    sigma   the smoothness: the standard deviation, in pixels, of the Gaussian that smooths uniform random displacements
    interpolation, fill, padding_mode   as in RandomAffine; the default border is mirrored
    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003.
    """

    on_device = True

    def __init__(self, alpha: float = 50.0, sigma: float = 5.0, interpolation: str = "bilinear", fill: int = 0,
                 padding_mode: str = "reflect") -> None:
        name = "ElasticTransform"
        if not 0 <= alpha < math.inf or not 0 < sigma < math.inf:
            raise ValueError(f"{name}: alpha={alpha!r} must be at least 0, and sigma={sigma!r} above 0")
        self.alpha, self.sigma, self.interpolation = float(alpha), float(sigma), interpolation
        self.bilinear, self.fill = interpolation_named(name, interpolation), brightness(name, fill)
        self.padding_mode, self.border = padding_mode, border_named(name, padding_mode)

    def run(self, images: np.ndarray, masks: np.ndarray | None, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        kernels, weights = byte_backend(images), gaussian(self.sigma, int(4 * self.sigma + 0.5))
        noise = kernels.noise_fields(images, draws.bits(), self.alpha)
        fields = kernels.blur(noise, np.tile(weights, (len(images), 1)))
        if masks is not None:
            masks = kernels.displace(masks[:, None], fields, False, self.border, 0)[:, 0]
        return kernels.displace(images, fields, self.bilinear, self.border, self.fill), masks


def gaussian(sigma: Any, reach: int) -> np.ndarray:
    """The weights of a Gaussian at -reach ... reach, which sum to 1: (2 * reach + 1,), or (N, ...) for sigma (N,)."""
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / np.asarray(sigma)[..., None]) ** 2)
    return weights / weights.sum(-1, keepdims=True)


def interpolation_named(name: str, interpolation: str) -> bool:
    """Whether the interpolation is bilinear."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"{name}: interpolation={interpolation!r} is none of {', '.join(INTERPOLATIONS)}")
    return interpolation == "bilinear"


