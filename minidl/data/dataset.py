"""A set of labelled images in memory.

An `ImageDataset` is two arrays, the names of the classes, and the mean and standard deviation for normalising pixels.
Pixels stay bytes, a quarter of the memory of floats; `batch` converts a few images at a time to normalised float32.
Parts of a set (`take`, `split`, `subset`) have the set make their batches, so that nothing is lost that a subclass does
to its images. Everything here is NumPy. Read `loader.py` next for how batches reach a training loop.
"""

import copy
import operator
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from minidl.augment import Draws, Transform
from minidl.data.protocol import Batch, check_dataset, make_batch, parameters_of
from minidl.data.streamed import Streamed
from minidl.io.checks import per_channel
from minidl.scalars import number, plain

CHUNK = 1 << 20                                  # labels that are counted at a time
MOST_BITS = 40                                   # of the number of images in a set


class ImageDataset:
    """Images, each with a class.   images uint8 (N, C, H, W), labels int (N,)

    `classes` are the names of the classes; numbers become text. `mean` and `std` are per channel, for pixels in 0..1;
    without them, pixels are scaled to 0..1 only. Raises TypeError for wrong element types, ValueError for shapes or
    values that do not fit.
    """

    any_size = False                             # whether training and evaluation may have images of different sizes

    def __init__(self, images: np.ndarray, labels: np.ndarray, classes: Iterable[str], name: str = "",
                 mean: Sequence[float] | np.ndarray | float | None = None,
                 std: Sequence[float] | np.ndarray | float | None = None) -> None:
        images = _images(images)
        self.classes = tuple(each.decode() if isinstance(each, bytes) else str(each) for each in classes)
        self.labels = self._checked_labels(labels, images.shape)
        self.images = images
        self.name = str(name)
        self.mean, self.std, self._scale, self._shift = _normalization(mean, std, images.shape[1])
        self.transform: Transform | None = None

    def _checked_labels(self, labels: Any, shape: tuple[int, ...]) -> np.ndarray:
        """The labels as the set keeps them, for images of `shape` (N, C, H, W)."""
        labels = whole_numbers(labels)
        if labels.shape != shape[:1]:
            raise ValueError(f"{shape[0]} images need labels of shape ({shape[0]},), not {labels.shape}")
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise ValueError(
                f"labels must lie in 0..{len(self.classes) - 1} for {len(self.classes)} classes, "
                f"but go from {labels.min()} to {labels.max()}"
            )
        return labels.astype(np.int64)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W)"""
        return self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        """The normalised image at `index`, float32 (C, H, W), and its label."""
        images, labels = self.batch([operator.index(index)])
        return images[0], int(labels[0]) if labels.ndim == 1 else labels[0]

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return f"{type(self).__name__}({self.name!r}, {len(self)} images of {shape}, {len(self.classes)} classes)"

    def batch(self, indices: Sequence[int] | np.ndarray, epoch: int | None = None, seed: int = 0,
              visits: np.ndarray | None = None) -> Batch:
        """Normalised images float32 (n, C, H, W) and labels int64 (n,), both new arrays.

        With an epoch they are augmented, if the set is `augmented`. A subclass that augments them in its own way draws
        from `random_generator(seed, epoch, index)` for each image (`protocol.py`). `visits` (n,) tells how often each
        image was in the epoch before, so that it is augmented differently. Raises IndexError for an index outside the
        set.
        """
        indices = _positions(indices)
        return self._finished(self.images[indices], self.labels[indices], indices, epoch, seed, visits)

    def _finished(self, images: np.ndarray, labels: np.ndarray, indices: np.ndarray, epoch: int | None, seed: int,
                  visits: np.ndarray | None) -> Batch:
        """The batch of these images, bytes, which are those at `indices`; on the device where they are."""
        if self.transform is not None and epoch is not None:
            numbers = np.arange(len(self))[indices] + (0 if visits is None else visits << MOST_BITS)
            images, labels = self._transformed(images, labels, Draws(seed, epoch, numbers))
        # gathering bytes and scaling in place takes less than half the time of a lookup table of 256 floats
        images = images.astype(np.float32)
        images *= self._scale
        images += self._shift
        return images, self._targets(labels)

    def _transformed(self, images: np.ndarray, labels: np.ndarray, draws: Draws) -> Batch:
        """A batch of bytes, augmented."""
        assert self.transform is not None
        return self.transform(images, draws=draws), labels

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        """Labels as a loss takes them: int64."""
        return labels

    @property
    def batch_parameters(self) -> frozenset[str] | None:
        """What a loader tells `batch`: the seed only if it is needed. None for a subclass: what its `batch` takes."""
        if type(self).batch is not ImageDataset.batch:
            return None
        return frozenset({"epoch"} if self.transform is None else {"epoch", "seed", "visits"})

    def augmented(self, transform: Transform | None) -> Self:
        """The same images, which a DataLoader changes at random by a transform of `minidl.augment`; None for no change.

        The changes depend on the loader's seed, the epoch and the image alone. In evaluation images stay as they are,
        so the transform must keep their size, or ValueError is raised; a SegmentationDataset takes any.
        """
        if transform is not None:
            size = transform(np.empty((0, *self.image_shape), np.uint8), draws=Draws(0, 0, [])).shape[1:]
            if size != self.image_shape and not self.any_size:
                raise ValueError(f"augmented: {transform!r} changes images {self.image_shape} to {size}; training and "
                                 "evaluation need images of one size")
        changed = self._changed(transform=transform)
        if transform is not None and not {"seed", "**"} & parameters_of(changed):
            raise TypeError(f"augmented: {type(self).__name__}.batch takes no `epoch` and `seed`, without which "
                            "nothing is augmented; let it take them, and pass them on to super().batch")
        return changed

    def normalized(self, mean: Sequence[float], std: Sequence[float]) -> Self:
        """The same images, normalised by another mean and standard deviation per channel, for pixels in 0..1."""
        names = ("mean", "std", "_scale", "_shift")
        return self._changed(**dict(zip(names, _normalization(mean, std, self.image_shape[0]), strict=True)))

    def _changed(self, **attributes: Any) -> Self:
        """A copy (not of the arrays) with other attributes."""
        twin = copy.copy(self)
        vars(twin).update(attributes)
        return twin

    def subset(self, indices: Sequence[int] | np.ndarray) -> "Subset":
        """The images at `indices`, in that order."""
        return Subset(self, indices)

    def class_counts(self) -> np.ndarray:
        """How many images, or pixels of masks, each class has: int64 (C,)."""
        labels, count = self.labels, np.zeros(len(self.classes), np.int64)
        step = max(1, CHUNK // max(1, labels[:1].size))
        for first in range(0, len(labels), step):
            part = labels[first:first + step].ravel()
            count += np.bincount(part, minlength=len(count))[:len(count)]            # without the pixels to be ignored
        return count

    def class_weights(self, power: float = 1.0) -> np.ndarray:
        """A weight for each class, float32 (C,), inversely proportional to its frequency to the power `power`.

        For `cross_entropy(..., weight=)`. The mean over the images, or pixels, is 1: with power 1, all classes together
        have equal shares in the loss; 0.5 is a compromise, and 0 weighs all images equally. A class that does not occur
        has the weight 1.
        """
        power = number("class_weights", "power", power, 0, 1)
        counts = self.class_counts()
        if not counts.any():
            raise ValueError(f"class_weights: there are no images in {self!r}")
        weights = np.where(counts, np.maximum(counts, 1.0) ** -power, 0)
        weights *= counts.sum() / (weights @ counts)
        return np.where(counts, weights, 1).astype(np.float32)

    def summary(self) -> dict[str, Any]:
        """What the set holds, in numbers and text that JSON can hold."""
        counts = [[name, int(count)] for name, count in zip(self.classes, self.class_counts(), strict=True)]
        return {"name": self.name, "images": len(self), "image_shape": list(self.image_shape), "classes": counts,
                "counted": "images" if self.labels.ndim == 1 else "pixels",
                "mean": list(self.mean), "std": list(self.std)}

    def take(self, n: int) -> "Subset":
        """The first `n` images; all images if there are fewer."""
        if operator.index(n := plain(n)) < 0:
            raise ValueError(f"cannot take {n} images")
        return self.subset(np.arange(min(n, len(self))))

    def split(self, part: int | float, seed: int = 0) -> tuple["Subset", "Subset"]:
        """Shuffle and split in two: `part` of the images, then the rest.

        `part` is a fraction (float in 0..1) or a number of images (int). The shuffle depends only on `seed` and the
        size of the set; it does not preserve the proportions of the classes.
        """
        part = plain(part)
        fraction = isinstance(part, float)
        if not 0 <= part <= (1 if fraction else len(self)):
            raise ValueError(f"cannot split {part} off {len(self)} images")
        count = round(part * len(self)) if fraction else operator.index(part)  # type: ignore[arg-type]
        order = np.random.default_rng(plain(seed)).permutation(len(self))
        return self.subset(order[:count]), self.subset(order[count:])

    def stratified_split(self, part: float, seed: int = 0) -> tuple["Subset", "Subset"]:
        """Shuffle and split each class in two, in the same proportion: `part` of its images, then the rest.

        Of a class with two images or more, each side gets at least one.
        """
        part = plain(part)
        if not isinstance(part, int | float) or not 0 <= part <= 1:
            raise ValueError(f"cannot split the part {part!r} off each class; it must be from 0 to 1")
        if self.labels.ndim != 1:
            raise TypeError(f"stratified_split: an image of {self!r} has no class of its own; use split(part, seed)")
        rng = np.random.default_rng(plain(seed))
        first, second = [], []
        for label in range(len(self.classes)):
            members = rng.permutation(np.flatnonzero(self.labels == label))
            count = round(part * len(members))
            if len(members) > 1 and 0 < part < 1:
                count = min(max(count, 1), len(members) - 1)
            first.append(members[:count])
            second.append(members[count:])
        return self.subset(np.sort(np.concatenate(first))), self.subset(np.sort(np.concatenate(second)))


class Subset(ImageDataset):
    """Some images of a data set, which still makes their batches.

    Whatever else the set has, its methods included, is found here too. It is a copy (not of the arrays), so that a
    setting changed here changes neither the set nor its other parts. In `batch` the set is given its own indices: an
    image is augmented in the same way whichever part it is in.
    """

    dataset: ImageDataset
    indices: np.ndarray

    def __init__(self, dataset: ImageDataset, indices: Sequence[int] | np.ndarray) -> None:
        check_dataset(dataset)
        chosen = np.arange(len(dataset))[_positions(indices)]
        vars(self).update(dataset=copy.copy(dataset), indices=chosen)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "dataset" not in vars(self):       # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) or hasattr(type(self), name):
            raise AttributeError(f"{name} of a part of a data set cannot be replaced; make an ImageDataset of arrays")
        setattr(self.dataset, name, value)

    def __copy__(self) -> "Subset":
        return Subset(self.dataset, self.indices)

    def augmented(self, transform: Transform | None) -> "Subset":  # type: ignore[override]
        return Subset(self.dataset.augmented(transform), self.indices)

    def _changed(self, **attributes: Any) -> "Subset":  # type: ignore[override]
        return Subset(self.dataset._changed(**attributes), self.indices)

    @property
    def images(self) -> np.ndarray:  # type: ignore[override]
        """uint8 (n, C, H, W), read-only: without a copy if they are the first images of the set, as after `take`."""
        return self._part(self.dataset.images)

    @property
    def labels(self) -> np.ndarray:  # type: ignore[override]
        """int64 (n,), or masks (n, H, W), read-only."""
        return self._part(self.dataset.labels)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.dataset.image_shape

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.dataset[int(self.indices[operator.index(index)])]

    def __repr__(self) -> str:
        return f"{self.dataset!r}[{len(self)} images]"

    @property
    def batch_parameters(self) -> frozenset[str]:
        """Those of the set: a seed is drawn for it only if it asks for one."""
        return parameters_of(self.dataset)

    def batch(self, indices: Sequence[int] | np.ndarray, epoch: int | None = None, seed: int = 0,
              visits: np.ndarray | None = None) -> Batch:
        known = {} if epoch is None else {"epoch": epoch, "seed": seed, "visits": visits}
        return make_batch(self.dataset, self.indices[_positions(indices)], **known)

    def _part(self, array: Any) -> Any:
        """The rows at `indices`: read-only, since changes of a copy would not reach the set."""
        if isinstance(array, Streamed):
            return array.part(self.indices)
        first = np.array_equal(self.indices, np.arange(len(self)))
        part = array[: len(self)] if first else array[self.indices]
        part.flags.writeable = False
        return part


def _images(images: Any) -> np.ndarray:
    """Images as an array uint8 (N, C, H, W), each in C order; raises an error that says what to do."""
    if isinstance(images, Streamed):
        return images  # type: ignore[return-value]
    try:
        images = np.asarray(images)
    except ValueError:                           # a list of arrays of different shapes
        raise ValueError("images must have shape (N, C, H, W); these differ in shape: resize or crop them") from None
    if images.dtype != np.uint8:
        hint = "; scale pixels to 0..255 and convert with .astype(numpy.uint8)" if images.dtype.kind in "biuf" else ""
        raise TypeError(f"images must be uint8, not {images.dtype}{hint}")
    if images.ndim != 4 or 0 in images.shape[1:]:
        hint = "; images[:, None] has one channel" if images.ndim == 3 else ""
        raise ValueError(f"images must have shape (N, C, H, W), not {images.shape}{hint}")
    if images.shape[3] <= 4 < images.shape[1]:
        raise ValueError(f"images must have shape (N, C, H, W), and {images.shape} looks like (N, H, W, C); "
                         "convert with images.transpose(0, 3, 1, 2)")
    return images if images[:1].flags.c_contiguous else np.ascontiguousarray(images)


def _normalization(mean: Any, std: Any, channels: int) -> tuple[Any, ...]:
    """(mean, std, and scale and shift (C, 1, 1), which turn bytes into normalised pixels)"""
    mean = per_channel("mean", np.atleast_1d((0.0,) * channels if mean is None else mean), channels)
    std = per_channel("std", np.atleast_1d((1.0,) * channels if std is None else std), channels)
    if min(std) <= 0:
        raise ValueError(f"std must be positive, not {std}")
    scale = np.array([1 / (255 * s) for s in std], np.float32)
    shift = np.array([-m / s for m, s in zip(mean, std, strict=True)], np.float32)
    return mean, std, scale.reshape(-1, 1, 1), shift.reshape(-1, 1, 1)


def whole_numbers(labels: Any) -> np.ndarray:
    """Labels as an array of whole numbers."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" and labels.size:
        raise TypeError(f"labels must be whole numbers, not {labels.dtype}; convert with .astype(numpy.int64)")
    return labels


def _positions(indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """`indices` as an integer array (n,). Raises TypeError for floats and masks, which NumPy would misinterpret."""
    indices = np.asarray(indices)
    if indices.ndim == 1 and indices.size == 0:
        return indices.astype(np.intp)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be a list of whole numbers, not {indices.dtype} of shape {indices.shape}")
    return indices
