"""A set of labelled images in memory.

An `ImageDataset` is two arrays, the names of the classes, and the mean and standard deviation for normalising pixels.
Pixels stay bytes, a quarter of the memory of floats; `batch` converts a few images at a time to normalised float32.
Everything here is NumPy. Read `loader.py` next for how batches reach a training loop.
"""

import operator
from collections.abc import Iterable, Sequence

import numpy as np

from minidl.io.checks import per_channel


class ImageDataset:
    """Images, each with a class.   images uint8 (N, C, H, W), labels int (N,)

    `classes` are the names of the classes. `mean` and `std` are per channel, for pixels in 0..1; without them, pixels
    are scaled to 0..1 only. Raises TypeError for wrong element types, ValueError for shapes or values that do not fit.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, classes: Iterable[str], name: str = "",
                 mean: Sequence[float] | np.ndarray | float | None = None,
                 std: Sequence[float] | np.ndarray | float | None = None) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.uint8:
            raise TypeError(f"images must be uint8, not {images.dtype}")
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise ValueError(f"images must have shape (N, C, H, W), not {images.shape}")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"labels must be whole numbers, not {labels.dtype}")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} images need labels of shape ({len(images)},), not {labels.shape}")
        self.classes = tuple(classes)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise ValueError(
                f"labels must lie in 0..{len(self.classes) - 1} for {len(self.classes)} classes, "
                f"but go from {labels.min()} to {labels.max()}"
            )
        self.images = np.ascontiguousarray(images)
        self.labels = labels.astype(np.int64)
        self.name = name
        channels = images.shape[1]
        self.mean = per_channel("mean", np.atleast_1d((0.0,) * channels if mean is None else mean), channels)
        self.std = per_channel("std", np.atleast_1d((1.0,) * channels if std is None else std), channels)
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, not {self.std}")
        self._scale = np.array([1 / (255 * s) for s in self.std], np.float32).reshape(-1, 1, 1)
        self._shift = np.array([-m / s for m, s in zip(self.mean, self.std, strict=True)], np.float32)
        self._shift = self._shift.reshape(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """The normalised image at `index`, float32 (C, H, W), and its label."""
        images, labels = self.batch([operator.index(index)])
        return images[0], int(labels[0])

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"ImageDataset({self.name!r}, {len(self)} images of {shape}, {len(self.classes)} classes)"

    def batch(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised images float32 (n, C, H, W) and labels int64 (n,), both new arrays.

        Raises IndexError for an index outside the set.
        """
        indices = _positions(indices)
        # gathering bytes and scaling in place takes less than half the time of a lookup table of 256 floats
        images = self.images[indices].astype(np.float32)
        images *= self._scale
        images += self._shift
        return images, self.labels[indices]

    def subset(self, indices: Sequence[int] | np.ndarray) -> "ImageDataset":
        """A new set with the images at `indices`, in that order."""
        indices = _positions(indices)
        return self._with(self.images[indices], self.labels[indices])

    def take(self, n: int) -> "ImageDataset":
        """The first `n` images, without a copy; all images if there are fewer."""
        if operator.index(n) < 0:
            raise ValueError(f"cannot take {n} images")
        return self._with(self.images[:n], self.labels[:n])

    def split(self, part: int | float, seed: int = 0) -> tuple["ImageDataset", "ImageDataset"]:
        """Shuffle and split in two: `part` of the images, then the rest.

        `part` is a fraction (float in 0..1) or a number of images (int). The shuffle depends only on `seed` and the
        size of the set; it does not preserve the proportions of the classes.
        """
        if not 0 <= part <= (1 if isinstance(part, float) else len(self)):
            raise ValueError(f"cannot split {part} off {len(self)} images")
        count = round(part * len(self)) if isinstance(part, float) else operator.index(part)
        order = np.random.default_rng(seed).permutation(len(self))
        return self.subset(order[:count]), self.subset(order[count:])

    def _with(self, images: np.ndarray, labels: np.ndarray) -> "ImageDataset":
        return ImageDataset(images, labels, self.classes, self.name, self.mean, self.std)


def _positions(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """`indices` as an integer array (n,). Raises TypeError for floats and masks, which NumPy would misinterpret."""
    indices = np.asarray(indices)
    if indices.ndim == 1 and indices.size == 0:
        return indices.astype(np.intp)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be a list of whole numbers, not {indices.dtype} of shape {indices.shape}")
    return indices
