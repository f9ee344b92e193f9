"""Batches for training and evaluation, prepared ahead by a thread (`prefetch.py`).

The order of an epoch depends only on the seed and the number of the epoch. A run is therefore resumed exactly by
setting `loader.epoch`, and within an epoch by `loader.batches(first)`. The batches do not depend on how many are
prepared ahead.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import minidl.device
from minidl.data.prefetch import prefetched
from minidl.data.protocol import Batch, Dataset, check_dataset, make_batch, parameters_of
from minidl.io.checks import is_whole


class DataLoader:
    """Iterates over (images float32 (n, C, H, W), labels int64 (n,)), one epoch at a time.

    dataset     anything with `len()` and `batch(indices)`, see `Dataset`
    batch_size  images per batch; the last batch of an epoch may be smaller
    shuffle     whether each epoch has its own random order
    seed        determines the orders, and the random numbers of a set that augments its images. Without it, a seed is
                drawn from the stream of `minidl.manual_seed` when it is first needed. Calling `manual_seed` later
                begins anew, with another seed and epoch 0
    drop_last   leave out a smaller last batch
    prefetch    the number of batches that a thread prepares ahead; 0 for no thread
    balanced    every class of the set equally often in each epoch, in random order: of a class with few images each is
                taken several times, changed differently if the set augments them; of a class with many not all are
                taken. The number of images stays that of the set. Each needs a label of its own
    augment     whether to pass the epoch to the data set, which augments only if it gets one; False for evaluation
    part        (i, n): only the i-th of n parts of each batch, every n-th image of it, for one of n processes which
                together have the whole batch; of a small last batch a part can be empty

    `epoch` is the number of the epoch that the next `iter` starts; set it to resume a run. Build a loader once, outside
    the loop over epochs. Raises TypeError for what is not a data set, ValueError for other wrong arguments.
    """

    def __init__(self, dataset: Dataset, batch_size: int = 128, shuffle: bool = False, seed: int | None = None,
                 drop_last: bool = False, prefetch: int = 2, augment: bool = True, balanced: bool = False,
                 part: tuple[int, int] = (0, 1)) -> None:
        check_dataset(dataset)
        self.dataset = dataset
        self.batch_size = _checked("batch_size", batch_size, 1)
        self.shuffle, self.drop_last, self.augment = bool(shuffle), bool(drop_last), bool(augment)
        self.seed = None if seed is None else _checked("seed", seed, 0)
        self.prefetch = _checked("prefetch", prefetch, 0)
        self.epoch = 0
        self.part = part
        self.balanced = bool(balanced)
        if self.balanced and np.ndim(getattr(dataset, "labels", 0)) != 1:
            raise TypeError(f"balanced=True needs a data set with a label for each image, labels (N,), not {dataset!r}")
        self._drawn: int | None = None                       # the seed, and
        self._restarts: int | None = None                    # how often the stream had been restarted
        if len(self) == 0:
            raise ValueError(
                f"no batches: {len(dataset)} images, batch_size={batch_size}, drop_last={self.drop_last}"
            )

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, number: int) -> None:
        self._epoch, self._chosen = _checked("epoch", number, 0), True

    def __len__(self) -> int:
        """Batches per epoch."""
        full, left = divmod(len(self.dataset), self.batch_size)
        return full + bool(left and not self.drop_last)

    def count(self, number: int) -> int:
        """How many images the batch with this number has, in all of its parts."""
        return min(self.batch_size, len(self.dataset) - number * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(self, first: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from number `first` on; those before it are not made."""
        first = _checked("first", first, 0)
        self._follow_stream()
        order, known = self._order(), self._known()
        self._epoch, self._chosen = self._epoch + 1, False
        mine, parts = self.part
        slices = [order[i * self.batch_size : (i + 1) * self.batch_size][mine::parts] for i in range(first, len(self))]
        make = functools.partial(_batch, self.dataset, known)
        return prefetched(make, slices, self.prefetch) if self.prefetch else map(make, slices)

    def _order(self) -> np.ndarray:
        """(which image, and how often it was there before in this epoch) for each place: (N, 2)"""
        count = len(self.dataset)
        order = np.zeros((count, 2), np.int64)
        if self.balanced:
            order[:, 0] = balanced_order(self.dataset.labels, self._random())          # type: ignore[attr-defined]
            order[:, 1] = visits(order[:, 0])
        else:
            order[:, 0] = self._random().permutation(count) if self.shuffle else np.arange(count)
        return order

    def _random(self) -> np.random.Generator:
        """The random numbers of the order of this epoch."""
        return np.random.default_rng((self._seed(), self.epoch))

    def _known(self) -> dict[str, int]:
        """What is passed to the data set. A seed is drawn from the stream only if its `batch` takes one."""
        if not self.augment:
            return {}
        asked = parameters_of(self.dataset)
        return {"epoch": self.epoch} | ({"seed": self._seed()} if {"seed", "**"} & asked else {})

    def _seed(self) -> int:
        """The seed given, or else the one drawn."""
        if self.seed is not None:
            return self.seed
        if self._drawn is None:
            self._drawn = minidl.device.draw_seed()
        return self._drawn

    def _follow_stream(self) -> None:
        """Begin anew after `manual_seed`, unless there is a seed of its own; an epoch that was set since then stays."""
        before, self._restarts = self._restarts, minidl.device.restarts()
        if self.seed is None and before not in (None, self._restarts):
            self._drawn = None
            if not self._chosen:
                self._epoch = 0


def balanced_order(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many images as there are labels (N,), in random order, with equally many of each class that occurs.

    If N is no multiple of the number of classes, chance decides which get one more. Of a class, each image is taken
    before one is taken again.
    """
    classes = np.unique(labels)
    share, more = divmod(len(labels), len(classes))
    wanted = share + (rng.permutation(len(classes)) < more)
    chosen = []
    for label, count in zip(classes, wanted, strict=True):
        members = np.flatnonzero(labels == label)
        rounds = [rng.permutation(members) for _ in range(math.ceil(count / len(members)))]
        chosen.append(np.concatenate([members[:0], *rounds])[:count])
    return rng.permutation(np.concatenate(chosen))


def visits(order: np.ndarray) -> np.ndarray:
    """How often each number was in the list before: [7, 2, 7, 7] -> [0, 0, 1, 2]"""
    places = np.argsort(order, kind="stable")
    numbers = order[places]
    before = np.empty_like(order)
    before[places] = np.arange(len(order)) - np.searchsorted(numbers, numbers)
    return before


def _batch(dataset: Dataset, known: dict[str, int], places: np.ndarray) -> Batch:
    """One batch. An exception gets a note that lists the images."""
    indices, before = places.T
    try:
        return make_batch(dataset, indices, **known, **({"visits": before} if before.any() else {}))
    except Exception as error:
        shown = ", ".join(map(str, indices[:16].tolist())) + (", ..." if len(indices) > 16 else "")
        error.add_note(f"while the DataLoader made a batch of the {len(indices)} images at {shown}")
        raise


def _checked(name: str, value: Any, least: int) -> int:
    """`value` as an int. Raises ValueError unless it is a whole number of at least `least`."""
    if not is_whole(value, least):
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return int(value)
