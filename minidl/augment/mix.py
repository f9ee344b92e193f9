"""Two images of a batch mixed, and their labels with them: MixUp and CutMix.

Both take a batch as a whole, so the result depends on which images are in it, and they belong behind the loader. Their
labels are probabilities, which `cross_entropy` takes as targets.
"""

from typing import Any

import numpy as np

from minidl.augment.draws import Draws


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
        images, labels = np.asarray(images), np.asarray(labels)
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(f"{type(self).__name__}: {len(images)} images need {len(images)} whole numbers as labels, "
                             f"not {labels.dtype} {labels.shape}")
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{type(self).__name__}: labels must lie in 0..{classes - 1}, "
                             f"but go from {labels.min()} to {labels.max()}")
        targets = np.eye(classes, dtype=np.float32)[labels]
        if not len(images):
            return images.copy(), targets
        draws = Draws.fresh(len(images)) if draws is None else draws
        rng = np.random.Generator(np.random.Philox(key=int(draws.bits()[0])))
        share, partners = float(rng.beta(self.alpha, self.alpha)), np.roll(np.arange(len(images)), 1)
        images, share = self.mix(images, images[partners], share, rng)
        return images, share * targets + np.float32(1 - share) * targets[partners]

    def mix(self, images: np.ndarray, others: np.ndarray, share: float, rng: np.random.Generator) -> Any:
        """(images mixed, the part of each that is its own)."""
        raise NotImplementedError(f"{type(self).__name__} has no mix")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha})"


class MixUp(Mix):
    """share * image + (1 - share) * other, pixel by pixel.

    Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018.
    """

    def mix(self, images: np.ndarray, others: np.ndarray, share: float, rng: np.random.Generator) -> Any:
        out = np.float32(share) * images + np.float32(1 - share) * others
        out = np.floor(out + np.float32(0.5)).astype(np.uint8) if images.dtype == np.uint8 else out
        return out, np.float32(share)


class CutMix(Mix):
    """A rectangle of the image replaced by the same rectangle of the other; the share is the area that stays.

    Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", ICCV 2019.
    """

    def mix(self, images: np.ndarray, others: np.ndarray, share: float, rng: np.random.Generator) -> Any:
        h, w = images.shape[2:]
        half = np.sqrt(1 - share) / 2
        y, x = rng.integers(h), rng.integers(w)
        top, bottom = (int(np.clip(y + side * half * h, 0, h)) for side in (-1, 1))
        left, right = (int(np.clip(x + side * half * w, 0, w)) for side in (-1, 1))
        out = images.copy()
        out[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return out, np.float32(1 - (bottom - top) * (right - left) / (h * w))
