"""Batches, one after the other, with the next ones prepared meanwhile.

The order of an epoch is a function of the seed and the number of the epoch alone.  So a run is resumed exactly by
setting `loader.epoch`, and the batches do not depend on how many are prepared ahead.  One thread is enough: NumPy
releases the interpreter while it gathers and scales, which takes a small part of the time of a training step.
"""

import contextlib
import operator
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# The cores this process may use, read before any are handed out.  OpenMP, on which the kernels run, may bind the main
# thread to one core (OMP_PROC_BIND); a thread started later inherits that, and would compete with it for the core.
AFFINITY = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


class DataLoader:
    """Iterates over (images float32 (n, C, H, W), labels int64 (n,)), one epoch at a time.

    `dataset` needs `len()` and `batch(indices)`.  The last batch is smaller if the images do not divide evenly, or left
    out with `drop_last`.  `prefetch` batches are prepared ahead in a thread; 0 means none and no thread.
    `epoch` is the number of the epoch that the next `iter` starts; set it to resume.
    """

    def __init__(self, dataset, batch_size=128, shuffle=False, seed=0, drop_last=False, prefetch=2):
        self.dataset = dataset
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self.seed = _whole("seed", seed, 0)
        self.prefetch = _whole("prefetch", prefetch, 0)
        self.epoch = 0
        if len(self) == 0:
            raise ValueError(
                f"no batch to be had: {len(dataset)} images, batch_size={batch_size}, drop_last={self.drop_last}"
            )

    @property
    def epoch(self):
        return self._epoch

    @epoch.setter
    def epoch(self, number):
        self._epoch = _whole("epoch", number, 0)

    def __len__(self):
        """Batches per epoch."""
        full, left = divmod(len(self.dataset), self.batch_size)
        return full + bool(left and not self.drop_last)

    def __iter__(self):
        order = self._order(self.epoch)
        self.epoch += 1
        slices = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]
        return self._prefetched(slices) if self.prefetch else map(self.dataset.batch, slices)

    def _order(self, epoch):
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng((self.seed, epoch)).permutation(count)

    def _prefetched(self, slices):
        """The batch of each slice, the next ones in the making.

        Whoever stops early closes this generator, by dropping it if nothing else; `finally` then ends the thread.
        """
        pool = ThreadPoolExecutor(1, "minidl-data", initializer=_use_every_core)
        waiting = deque()
        try:
            for indices in slices:
                waiting.append(pool.submit(self.dataset.batch, indices))
                if len(waiting) > self.prefetch:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # not waited for: the batch in the making is soon done, and whoever stops early need not wait for it
            pool.shutdown(wait=False, cancel_futures=True)


def _use_every_core():
    """Let the calling thread run on any core of the process."""
    if AFFINITY is not None:
        with contextlib.suppress(OSError):  # the cores may have been taken from the process since
            os.sched_setaffinity(0, AFFINITY)


def _whole(name, value, least):
    """`value` as an int of at least `least`; bool is not a number here."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return number
