"""Batches, prepared ahead by a thread.

The order of an epoch depends only on the seed and the number of the epoch. A run is therefore resumed exactly by
setting `loader.epoch`, and the batches do not depend on how many are prepared ahead. One thread is enough: NumPy
releases the GIL while it gathers and scales images, which takes a small fraction of a training step.
"""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from minidl.io.checks import is_whole

Batch = tuple[np.ndarray, np.ndarray]

# The cores that this process may use. OpenMP may bind the main thread to one core (OMP_PROC_BIND); threads started
# later inherit the binding and would compete for that core, so the set is read first.
AFFINITY = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


class Dataset(Protocol):
    """What a DataLoader needs of a data set, such as ImageDataset."""

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray, /) -> Batch: ...


class DataLoader:
    """Iterates over (images float32 (n, C, H, W), labels int64 (n,)), one epoch at a time.

    dataset     anything with `len()` and `batch(indices)`
    batch_size  images per batch; the last batch of an epoch may be smaller
    shuffle     whether each epoch has its own random order, determined by `seed`
    drop_last   leave out a smaller last batch
    prefetch    the number of batches that a thread prepares ahead; 0 for no thread

    `epoch` is the number of the epoch that the next `iter` starts; set it to resume a run.
    """

    def __init__(self, dataset: Dataset, batch_size: int = 128, shuffle: bool = False, seed: int = 0,
                 drop_last: bool = False, prefetch: int = 2) -> None:
        self.dataset = dataset
        self.batch_size = _checked("batch_size", batch_size, 1)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self.seed = _checked("seed", seed, 0)
        self.prefetch = _checked("prefetch", prefetch, 0)
        self.epoch = 0
        if len(self) == 0:
            raise ValueError(
                f"no batches: {len(dataset)} images, batch_size={batch_size}, drop_last={self.drop_last}"
            )

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, number: int) -> None:
        self._epoch = _checked("epoch", number, 0)

    def __len__(self) -> int:
        """Batches per epoch."""
        full, left = divmod(len(self.dataset), self.batch_size)
        return full + bool(left and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order(self.epoch)
        self.epoch += 1
        slices = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]
        return self._prefetched(slices) if self.prefetch else map(self.dataset.batch, slices)

    def _order(self, epoch: int) -> np.ndarray:
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng((self.seed, epoch)).permutation(count)

    def _prefetched(self, slices: list[np.ndarray]) -> Iterator[Batch]:
        """The batch of each slice, while the thread prepares the next ones.

        A consumer that stops early closes this generator, at the latest when it drops the last reference; `finally`
        then ends the thread.
        """
        pool = ThreadPoolExecutor(1, "minidl-data", initializer=_use_every_core)
        waiting: deque[Future[Batch]] = deque()
        try:
            for indices in slices:
                waiting.append(pool.submit(self.dataset.batch, indices))
                if len(waiting) > self.prefetch:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # without waiting: the thread ends after its current batch, and the consumer need not wait for that
            pool.shutdown(wait=False, cancel_futures=True)


def _use_every_core() -> None:
    """Allow the calling thread to run on every core of the process."""
    if AFFINITY is not None:
        with contextlib.suppress(OSError):  # the process may have lost cores in the meantime
            os.sched_setaffinity(0, AFFINITY)


def _checked(name: str, value: Any, least: int) -> int:
    """`value` as an int. Raises ValueError unless it is a whole number of at least `least`."""
    if not is_whole(value, least):
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return int(value)
