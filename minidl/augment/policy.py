"""RandAugment: a few changes, drawn at random from a list, all of one strength."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.augment.affine import inverse_affine
from minidl.augment.colour import LUMA, check_colours
from minidl.augment.crop import border_named, brightness
from minidl.augment.draws import Draws
from minidl.augment.transform import Transform
from minidl.kernels import host_backend
from minidl.scalars import whole

LEVELS = 30                                     # the largest magnitude


class RandAugment(Transform):
    """`num_ops` changes of each image, drawn with equal probability from CHANGES, each of strength `magnitude`.

    magnitude   from 0 (none) to 30 (the most)
    fill        the brightness of what lies outside of a moved image, 0 to 255
    Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", NeurIPS 2020; the
    changes and their ranges are torchvision's.
    """

    def __init__(self, num_ops: int = 2, magnitude: int = 9, fill: int = 0) -> None:
        if isinstance(magnitude, bool) or not 0 <= magnitude <= LEVELS:
            raise ValueError(f"RandAugment: magnitude={magnitude!r} must be from 0 to {LEVELS}")
        self.num_ops, self.magnitude = whole("RandAugment", "num_ops", num_ops), magnitude
        self.fill = brightness("RandAugment", fill)

    def run(self, images: np.ndarray, masks: np.ndarray | None, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        check_colours("RandAugment", images.shape[1])
        images, masks = images.copy(), None if masks is None else masks.copy()
        strength = self.magnitude / LEVELS
        for _ in range(self.num_ops):
            kinds, signs = draws.integers(0, len(CHANGES) - 1), np.where(draws.chance(0.5), 1.0, -1.0)
            for kind, change in enumerate(CHANGES.values()):
                chosen = np.flatnonzero(kinds == kind)
                if len(chosen):
                    own = None if masks is None else masks[chosen]
                    images[chosen], own = change(images[chosen], own, strength, signs[chosen], self.fill)
                    if masks is not None:
                        masks[chosen] = own
        return images, masks


Masks = np.ndarray | None
Change = Callable[[np.ndarray, Masks, float, np.ndarray, int], tuple[np.ndarray, Masks]]


def identity(images: np.ndarray, masks: Masks, strength: float, signs: np.ndarray, fill: int) -> Any:
    """Nothing."""
    return images, masks


def moved(angle: float = 0, shear_x: float = 0, shear_y: float = 0, across: float = 0, down: float = 0) -> Change:
    """An affine map; the arguments are its values at full strength, in degrees and parts of the image."""
    def change(images, masks, strength, signs, fill):
        h, w = images.shape[2:]
        s = strength * signs
        matrices = inverse_affine((h, w), angle * s, (np.rint(across * w * s), np.rint(down * h * s)), 1.0 + 0 * s,
                                  (shear_x * s, shear_y * s))
        constant = border_named("RandAugment", "constant")
        if masks is not None:
            masks = host_backend().warp(masks[:, None], matrices, (h, w), False, constant, 0)[:, 0]
        return host_backend().warp(images, matrices, (h, w), True, constant, fill), masks
    return change


def blended(other: Callable[[np.ndarray], np.ndarray]) -> Change:
    """factor * image + (1 - factor) * other(image), with factor = 1 +- 0.9 * strength."""
    def change(images, masks, strength, signs, fill):
        factor = (1 + 0.9 * strength * signs)[:, None, None, None].astype(np.float32)
        out = factor * images + (1 - factor) * other(images)
        return np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8), masks
    return change


def black(images: np.ndarray) -> np.ndarray:
    """Black images: blending with them changes the brightness."""
    return np.zeros((1, 1, 1, 1), np.float32)


def grey(images: np.ndarray) -> np.ndarray:
    """The grey of each pixel: blending with it changes the saturation."""
    return images if images.shape[1] == 1 else np.einsum("nchw,c->nhw", images, LUMA)[:, None]


def mean_grey(images: np.ndarray) -> np.ndarray:
    """The mean grey of each image: blending with it changes the contrast."""
    return grey(images).mean((1, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)


def smooth(images: np.ndarray) -> np.ndarray:
    """Each image smoothed, except for its border: blending with it changes the sharpness."""
    out = images.astype(np.float32)
    weights = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    h, w = images.shape[2:]
    if min(h, w) > 2:
        out[:, :, 1:-1, 1:-1] = sum(weights[i, j] * images[:, :, i:h - 2 + i, j:w - 2 + j]
                                    for i in range(3) for j in range(3))
    return out


def tabled(table: Callable[[np.ndarray, float], np.ndarray]) -> Change:
    """Each byte looked up in the table (N, C, 256) that `table(images, strength)` makes."""
    def change(images, masks, strength, signs, fill):
        tables = np.broadcast_to(table(images, strength), (*images.shape[:2], 256))
        return host_backend().look_up(images, np.ascontiguousarray(tables)), masks
    return change


def posterized(images: np.ndarray, strength: float) -> np.ndarray:
    """The lower bits cleared: up to 4 of 8."""
    return np.arange(256, dtype=np.uint8) & np.uint8(256 - 2 ** round(4 * strength))


def solarized(images: np.ndarray, strength: float) -> np.ndarray:
    """Bright pixels inverted: those above 255 * (1 - strength)."""
    values = np.arange(256)
    return np.where(values > 255 * (1 - strength), 255 - values, values).astype(np.uint8)


def contrasted(images: np.ndarray, strength: float) -> np.ndarray:
    """Each channel stretched to the range 0 to 255."""
    low, high = images.min((2, 3), keepdims=True)[..., 0], images.max((2, 3), keepdims=True)[..., 0]
    low, span = low.astype(np.float64), (high - low).astype(np.float64)
    stretched = (np.arange(256) - low) * (255 / np.where(span > 0, span, 1))
    return np.where(span > 0, np.clip(stretched, 0, 255), np.arange(256)).astype(np.uint8)


def equalized(images: np.ndarray, strength: float) -> np.ndarray:
    """Each channel with a histogram that is as even as possible."""
    n, c = images.shape[:2]
    places = np.arange(n * c)[:, None] * 256 + images.reshape(n * c, -1)
    counts = np.bincount(places.ravel(), minlength=n * c * 256).reshape(n, c, 256)
    total = counts.sum(2, keepdims=True)
    last = np.take_along_axis(counts, images.max((2, 3)).astype(np.int64)[..., None], axis=2)
    step = (total - last) // 255
    before = np.cumsum(counts, axis=2) - counts
    tables = np.clip((before + step // 2) // np.maximum(step, 1), 0, 255)
    return np.where(step > 0, tables, np.arange(256)).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "identity": identity,
    "shear x": moved(shear_x=np.rad2deg(np.arctan(0.3))),
    "shear y": moved(shear_y=np.rad2deg(np.arctan(0.3))),
    "translate x": moved(across=150 / 331),
    "translate y": moved(down=150 / 331),
    "rotate": moved(angle=30),
    "brightness": blended(black),
    "colour": blended(grey),
    "contrast": blended(mean_grey),
    "sharpness": blended(smooth),
    "posterize": tabled(posterized),
    "solarize": tabled(solarized),
    "autocontrast": tabled(contrasted),
    "equalize": tabled(equalized),
}
