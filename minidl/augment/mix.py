"""Two images of a batch mixed, and their labels with them: MixUp and CutMix.

Both take a batch as a whole, so the result depends on which images are in it, and they belong behind the loader. Their
labels are probabilities, which `cross_entropy` takes as targets.
"""

from typing import Any, TypeAlias

import numpy as np

from minidl import faults
from minidl.augment.draws import Draws
from minidl.device import array_module, is_array
from minidl.kernels import byte_backend

Box: TypeAlias = tuple[int, int, int, int]


class Mix:
    """Mixes each image of a batch with another of it. The share that it keeps comes from Beta(alpha, alpha)."""

    def __init__(self, alpha: float = 1.0) -> None:
        if not isinstance(alpha, int | float | np.number) or not 0 < alpha < float("inf"):
            raise ValueError(f"{type(self).__name__}: alpha={alpha!r} must be larger than 0")
        self.alpha = float(alpha)

    def __call__(self, images: np.ndarray, labels: np.ndarray, classes: int, draws: Draws | None = None) -> Any:
        """(images, probabilities float32 (N, classes)) from images (N, C, H, W) and labels (N,), whole numbers.

        draws   where the random numbers come from: one share and one order for the batch, taken from its first image
        """
        images, labels = (x if is_array(x) else np.asarray(x) for x in (images, labels))
        xp = array_module(images)
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(f"{type(self).__name__}: {len(images)} images need {len(images)} whole numbers as labels, "
                             f"not {labels.dtype} {labels.shape}")
        if xp is not np:
            faults.note((labels < 0) | (labels >= classes), labels, f"{type(self).__name__}: a label is {{:g}}; labels "
                        f"must lie in 0..{classes - 1}")
        elif labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{type(self).__name__}: labels must lie in 0..{classes - 1}, "
                             f"but go from {labels.min()} to {labels.max()}")
        targets = xp.eye(classes, dtype=np.float32)[labels]
        if not len(images):
            return images.copy(), targets
        draws = Draws.fresh(len(images)) if draws is None else draws
        rng = np.random.Generator(np.random.Philox(key=int(draws.bits()[0])))
        inside, box, share = self.mix(images.shape[2:], float(rng.beta(self.alpha, self.alpha)), rng)
        others = xp.roll(targets, 1, axis=0)     # each image is mixed with the one before it
        own = np.float32(share)
        targets = float(own) * targets + float(1 - own) * others
        return byte_backend(images).mix_pairs(images, inside, box), targets

    def mix(self, size: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[float, Box, float]:
        """(the part that is an image's own in the box, the box: top, left, bottom, right; the part of its label)."""
        raise NotImplementedError(f"{type(self).__name__} has no mix")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha})"


class MixUp(Mix):
    """share * image + (1 - share) * other, pixel by pixel.

    Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018.
    """

    def mix(self, size: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[float, Box, float]:
        return share, (0, 0, *size), share       # type: ignore[return-value]


class CutMix(Mix):
    """A rectangle of the image replaced by the same rectangle of the other; the share is the area that stays.

    Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", ICCV 2019.
    """

    def mix(self, size: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[float, Box, float]:
        h, w = size
        half = np.sqrt(1 - share) / 2
        y, x = rng.integers(h), rng.integers(w)
        top, bottom = (int(np.clip(y + side * half * h, 0, h)) for side in (-1, 1))
        left, right = (int(np.clip(x + side * half * w, 0, w)) for side in (-1, 1))
        return 0.0, (top, left, bottom, right), 1 - (bottom - top) * (right - left) / (h * w)
