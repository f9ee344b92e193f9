"""RandAugment: a few changes, drawn at random from a list, all of one strength."""

from collections.abc import Callable

import numpy as np

from minidl.augment.affine import inverse_affine
from minidl.augment.colour import BRIGHTNESS, CONTRAST, SATURATION, check_colours, one_change, recolour
from minidl.augment.crop import border_named, brightness
from minidl.augment.draws import Draws
from minidl.augment.transform import Transform
from minidl.device import array_module
from minidl.kernels import byte_backend
from minidl.kernels.plain.augmentation import EQUALIZED, STRETCHED
from minidl.scalars import whole

LEVELS = 30                                     # the largest magnitude


class RandAugment(Transform):
    """`num_ops` changes of each image, drawn with equal probability from CHANGES, each of strength `magnitude`.

    magnitude   from 0 (none) to 30 (the most)
    fill        the brightness of what lies outside of a moved image, 0 to 255
    Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", NeurIPS 2020; the
    changes and their ranges are torchvision's.
    """

    on_device = True

    def __init__(self, num_ops: int = 2, magnitude: int = 9, fill: int = 0) -> None:
        if isinstance(magnitude, bool) or not 0 <= magnitude <= LEVELS:
            raise ValueError(f"RandAugment: magnitude={magnitude!r} must be from 0 to {LEVELS}")
        self.num_ops, self.magnitude = whole("RandAugment", "num_ops", num_ops), magnitude
        self.fill = brightness("RandAugment", fill)

    def run(self, images: np.ndarray, masks: np.ndarray | None, draws: Draws) -> tuple[np.ndarray, np.ndarray | None]:
        check_colours("RandAugment", images.shape[1])
        for _ in range(self.num_ops):
            kinds, signs = draws.integers(0, len(CHANGES) - 1), np.where(draws.chance(0.5), 1.0, -1.0)
            images, masks = changed(images, masks, kinds, signs * (self.magnitude / LEVELS), self.fill)
        return images, masks


def changed(images: np.ndarray, masks: np.ndarray | None, kinds: np.ndarray, strengths: np.ndarray,
            fill: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and masks, each with one of CHANGES: kinds (N,) are their numbers, strengths (N,) from -1 to 1."""
    images, masks = images.copy(), None if masks is None else masks.copy()
    for names, change in FAMILIES.items():
        own = kinds - CHANGES.index(names[0])
        chosen = np.flatnonzero((own >= 0) & (own < len(names)))
        if len(chosen):
            places, own, strength = array_module(images).asarray(chosen), own[chosen], strengths[chosen]
            images[places] = change(images[places], own, strength, fill)
            if change is moved and masks is not None:
                masks[places] = moved(masks[places][:, None], own, strength, 0, bilinear=False)[:, 0]
    return images, masks


def moved(images: np.ndarray, kinds: np.ndarray, strength: np.ndarray, fill: int, bilinear: bool = True) -> np.ndarray:
    """Sheared, translated or rotated by an affine map."""
    size = images.shape[2:]
    shear_x, shear_y, across, down, angle = (MOST[kinds] * strength[:, None]).T
    matrices = inverse_affine(size, angle, (np.rint(across * size[1]), np.rint(down * size[0])), 1 + 0 * angle,
                              (shear_x, shear_y))
    return byte_backend(images).warp(images, matrices, size, bilinear, border_named("RandAugment", "constant"), fill)


SHEAR, SHIFT = np.rad2deg(np.arctan(0.3)), 150 / 331
MOST = np.diag([SHEAR, SHEAR, SHIFT, SHIFT, 30])         # at full strength: degrees, and parts of the image


def recoloured(images: np.ndarray, kinds: np.ndarray, strength: np.ndarray, fill: int) -> np.ndarray:
    """Between black, its grey or its mean grey, and the image, or beyond it: by a factor of 1 + 0.9 * strength."""
    kinds = np.array([BRIGHTNESS, SATURATION, CONTRAST])[kinds]
    return recolour(images, *one_change(kinds, 1 + 0.9 * strength, images.shape[1]))


def sharpened(images: np.ndarray, kinds: np.ndarray, strength: np.ndarray, fill: int) -> np.ndarray:
    """Likewise between the image smoothed, and the image."""
    return byte_backend(images).sharpen(images, 1 + 0.9 * strength)


def tabled(images: np.ndarray, kinds: np.ndarray, strength: np.ndarray, fill: int) -> np.ndarray:
    """The lower bits cleared, up to 4 of 8; or bright pixels inverted, those above 255 * (1 - strength)."""
    levels, strength = np.arange(256), np.abs(strength)[:, None]
    cleared = levels & (256 - 2 ** np.rint(4 * strength).astype(int))
    inverted = np.where(levels > 255 * (1 - strength), 255 - levels, levels)
    tables = np.where(kinds[:, None] == 0, cleared, inverted).astype(np.uint8)
    return byte_backend(images).look_up(images, np.repeat(tables[:, None], images.shape[1], axis=1))


def levelled(images: np.ndarray, kinds: np.ndarray, strength: np.ndarray, fill: int) -> np.ndarray:
    """Each channel stretched to the range 0 to 255; or with a histogram that is as even as possible."""
    kernels = byte_backend(images)
    return kernels.look_up(images, kernels.level_tables(images, np.array([STRETCHED, EQUALIZED])[kinds]))


FAMILIES: dict[tuple[str, ...], Callable[..., np.ndarray]] = {       # each is made at once for all its images
    ("shear x", "shear y", "translate x", "translate y", "rotate"): moved,
    ("brightness", "colour", "contrast"): recoloured,
    ("sharpness",): sharpened,
    ("posterize", "solarize"): tabled,
    ("autocontrast", "equalize"): levelled,
}
CHANGES = ["identity", *(name for names in FAMILIES for name in names)]
