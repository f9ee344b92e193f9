"""Runs that keep nothing: a few steps to see that all works, and one batch to see that the network can learn."""

from dataclasses import replace
from typing import Any

import numpy as np

from minidl.data.protocol import Batch, make_batch
from minidl.text import write
from minidl.train.callbacks import Callback
from minidl.train.run import Run
from minidl.train.settings import Settings

FITTED = 0.1                                     # of its first value: a loss below it shows that the batch is learned

Sets = tuple[Any, Any, Any]


def rehearsed(s: Settings, sets: Sets) -> tuple[Settings, Sets]:
    """The settings and the (training, validation, test) sets of the run; fewer, if it is a rehearsal."""
    train_set, *others = sets
    if s.dry_run:
        few = 2 * s.batch_size
        s, train_set = replace(s, epochs=1, resume=False, overwrite=False), train_set.take(few)
        others = [each and each.take(few) for each in others]
    if s.overfit:
        s = replace(s, resume=False, overwrite=False, patience=None, monitor=None, mix=(), label_smoothing=0.0,
                    balanced=False)
        train_set, others = OneBatch(train_set, s.batch_size, s.seed), [None, None]
    return s, (train_set, *others)


class OneBatch:
    """A data set each of whose batches holds the same images, as they are: the first in a random order."""

    def __init__(self, dataset: Any, size: int, seed: int) -> None:
        self.dataset = dataset
        self.classes, self.mean, self.std = dataset.classes, dataset.mean, dataset.std
        indices = np.random.default_rng(seed).permutation(len(dataset))[:size]
        self.images, self.labels = make_batch(dataset, indices)

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: np.ndarray) -> Batch:
        return self.images, self.labels


class Overfit(Callback):
    """Stops the run as soon as its loss has fallen below a tenth of the first one, and says whether it has."""

    def __init__(self) -> None:
        self.first: float | None = None

    def step_finished(self, run: Run) -> None:
        self.first = run.loss if self.first is None else self.first
        self.last, self.steps = run.loss, run.steps
        if run.loss < FITTED * self.first:
            run.stop("the batch is learned")

    def run_finished(self, run: Run) -> None:
        if run.error is None and self.first is not None:
            fitted = self.last < FITTED * self.first
            write(f"one batch: the loss went from {self.first:.4f} to {self.last:.4f} in {self.steps} steps, "
                  + (f"below {FITTED:.0%} of its first value: the network can learn" if fitted else
                     f"and not below {FITTED:.0%} of its first value: check the labels, the loss, and the learning "
                     "rate, or take more epochs"), flush=True)
