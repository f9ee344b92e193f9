"""A set of labelled images, held in memory.

`ImageDataset` is two arrays, the names of the classes, and the mean and standard deviation that turn grey levels into
numbers a network likes.  Pixels stay bytes, a quarter of the memory of floats, and become normalised float32 only in
`batch`, a few at a time.  Everything here is NumPy: read `loader.py` next for how batches reach a training loop.
"""

import operator

import numpy as np


class ImageDataset:
    """Images with a class each.   images uint8 (N, C, H, W), labels int (N,)

    `classes` names the classes, `mean` and `std` are per channel for pixels in 0..1; left out, pixels are only
    scaled to 0..1.  Raises TypeError for a wrong kind of number, ValueError for shapes or values that do not fit.
    """

    def __init__(self, images, labels, classes, name="", mean=None, std=None):
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
        self.mean = _per_channel("mean", (0.0,) * channels if mean is None else mean, channels)
        self.std = _per_channel("std", (1.0,) * channels if std is None else std, channels)
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, not {self.std}")
        self._scale = np.array([1 / (255 * s) for s in self.std], np.float32).reshape(-1, 1, 1)
        self._shift = np.array([-m / s for m, s in zip(self.mean, self.std, strict=True)], np.float32)
        self._shift = self._shift.reshape(-1, 1, 1)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        """The image at `index`, normalised, float32 (C, H, W), and its label, an int."""
        images, labels = self.batch([operator.index(index)])
        return images[0], int(labels[0])

    def __repr__(self):
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"ImageDataset({self.name!r}, {len(self)} images of {shape}, {len(self.classes)} classes)"

    def batch(self, indices):
        """Images float32 (n, C, H, W), normalised, and labels int64 (n,), both new arrays.

        Raises IndexError for an index outside the set.
        """
        indices = _positions(indices)
        # Gathering bytes, then scaling in place, takes less than half the time of looking floats up in a table of 256.
        images = self.images[indices].astype(np.float32)
        images *= self._scale
        images += self._shift
        return images, self.labels[indices]

    def subset(self, indices):
        """The images at `indices`, in that order, as a set of their own."""
        indices = _positions(indices)
        return self._with(self.images[indices], self.labels[indices])

    def take(self, n):
        """The first `n` images, without copying them; all, if there are fewer."""
        if operator.index(n) < 0:
            raise ValueError(f"cannot take {n} images")
        return self._with(self.images[:n], self.labels[:n])

    def split(self, part, seed=0):
        """Shuffle and part in two: `part` of the images, then the rest.

        `part` is a fraction (float in 0..1) or a number of images (int).  The shuffle depends on `seed` and the size
        of the set alone; classes are not kept in proportion.
        """
        fraction = isinstance(part, float)
        if not 0 <= part <= (1 if fraction else len(self)):
            raise ValueError(f"cannot split {part} off {len(self)} images")
        count = round(part * len(self)) if fraction else operator.index(part)
        order = np.random.default_rng(seed).permutation(len(self))
        return self.subset(order[:count]), self.subset(order[count:])

    def _with(self, images, labels):
        return ImageDataset(images, labels, self.classes, self.name, self.mean, self.std)


def _per_channel(what, values, channels):
    """`values` as a tuple of one Python float per channel."""
    values = tuple(float(v) for v in np.atleast_1d(values))
    if len(values) != channels or not np.isfinite(values).all():
        raise ValueError(f"{what} must be one finite number per channel, {channels} in all, not {values}")
    return values


def _positions(indices):
    """`indices` as an array of whole numbers (n,); NumPy would take floats and masks for something else."""
    indices = np.asarray(indices)
    if indices.ndim == 1 and indices.size == 0:
        return indices.astype(np.intp)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be a list of whole numbers, not {indices.dtype} of shape {indices.shape}")
    return indices
