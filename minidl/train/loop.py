"""The training loop: forward, loss, backward, step; and after each epoch validation, log and checkpoints.

`examples/by_hand.py` has the loop with nothing around it: read that first. Who sets all this up is `fit.py`; what a run
is, and how it gets into a checkpoint, is told in `run.py`; how it is stopped without loss, in `interrupt.py`.
"""

import itertools
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from minidl.data import DataLoader, ImageDataset
from minidl.device import Device
from minidl.optim import ReduceLROnPlateau
from minidl.tensor import NonFiniteError, Tensor, detect_nonfinite
from minidl.train.evaluation import evaluate, in_order
from minidl.train.folder import RunFolder
from minidl.train.interrupt import Interrupted, Interruption
from minidl.train.log import write_log
from minidl.train.plots import draw_curves
from minidl.train.progress import Progress
from minidl.train.run import Run

REDRAW = 30.0                                    # seconds between two drawings of the curves; one takes about half


@dataclass
class Loop:
    """One run, its data and its folder, until it is finished or stopped. Settings as in `fit`."""

    run: Run
    folder: RunFolder
    loader: DataLoader
    validation_set: ImageDataset | None
    progress: Progress
    interruption: Interruption
    device: Device
    epochs: int
    loss: Callable
    schedule_every: str
    accumulate: int
    patience: int | None
    checkpoint_interval: float
    detect_nan: bool

    def __post_init__(self):
        self.clock = self.saved = self.drawn = time.perf_counter()

    def go(self):
        """Train until the end, or until a signal comes: then save, and raise Interrupted that says how to go on."""
        try:
            while self.run.position.epoch < self.epochs and not self.run.position.stopped:
                self.train_epoch()
                self.end_epoch(self.validate())
            self.interruption.check()
        except Interrupted as stop:
            self.save()
            message = f"{stop} after {self.run.position}; all is saved, and --resume {self.folder.path} goes on"
            raise Interrupted(message, stop.signal) from None
        except NonFiniteError as error:
            error.args = (self.explain(error),)
            raise

    def train_epoch(self):
        """Take the steps of this epoch that are still to be taken."""
        position = self.run.position
        self.run.model.train()
        self.loader.epoch = position.epoch
        watch = detect_nonfinite() if self.detect_nan else nullcontext()
        with watch, np.errstate(over="ignore", invalid="ignore"):    # NumPy's warnings would say less than `explain`
            for images, labels in self.interruption.between(itertools.islice(self.loader, position.step, None)):
                self.step(images, labels)
                self.progress.step(position)
                if time.perf_counter() - self.saved >= self.checkpoint_interval:
                    self.save()

    def step(self, images, labels):
        """Learn from one batch, whose gradient is the sum of those of its parts."""
        optimizer, schedule, position = self.run.optimizer, self.run.schedule, self.run.position
        optimizer.zero_grad()
        size = math.ceil(len(labels) / self.accumulate)
        for first in range(0, len(labels), size):
            self.add_gradient(images[first:first + size], labels[first:first + size], len(labels))
        optimizer.step()
        if self.run.average:
            self.run.average.update()
        if schedule and self.schedule_every == "step":
            schedule.step()
        position.step += 1

    def add_gradient(self, images, labels, total):
        """Forward and backward for a part of a batch of `total` images."""
        position, labels = self.run.position, self.device.put(labels)
        logits = self.run.model(Tensor(images, device=self.device))
        loss = self.loss(logits, labels)
        value = float(loss)
        if not math.isfinite(value):             # before it gets into the weights
            raise NonFiniteError(f"the loss is {value}")
        (loss if len(labels) == total else loss * (len(labels) / total)).backward()
        position.images += len(labels)
        position.loss += value * len(labels)
        position.correct += int((logits.data.argmax(1) == labels).sum())

    def validate(self):
        """The Evaluation on the validation set; None without one."""
        if self.validation_set is None:
            return None
        batches = self.interruption.between(in_order(self.validation_set, self.loader.prefetch))
        with self.run.in_evaluation():
            return evaluate(self.run.model, batches, len(self.validation_set.classes), self.device, self.loss)

    def end_epoch(self, validation):
        """Log the epoch, see whether it is the best, move the schedule, save."""
        position, schedule = self.run.position, self.run.schedule
        self.tick()
        row = {
            "epoch": position.epoch + 1,
            "lr": self.run.optimizer.lr,
            "train_loss": position.loss / position.images,
            "train_accuracy": position.correct / position.images,
            "validation_loss": validation and validation.loss,
            "validation_accuracy": validation and validation.accuracy,
            "seconds": round(position.seconds, 3),
        }
        if schedule and self.schedule_every == "epoch":
            loss = row["train_loss"] if validation is None else row["validation_loss"]
            schedule.step(*([loss] if isinstance(schedule, ReduceLROnPlateau) else []))
        position.rows.append(row)
        is_best = position.best is None or validation is None or merit(row) > merit(position.best)
        position.begin_epoch()
        if is_best:
            position.best = row
            self.run.save_weights(self.folder.best)
        position.stopped = self.patience is not None and position.epoch - position.best["epoch"] >= self.patience
        self.save()                              # after the best weights, so that it never promises some that are not
        write_log(self.folder.log, position.rows)
        self.progress.epoch(row, is_best)
        self.draw(REDRAW)

    def tick(self):
        """Add the time since the last tick to the epoch's."""
        now = time.perf_counter()
        self.run.position.seconds += now - self.clock
        self.clock = now

    def save(self):
        """Write the checkpoint that the run can go on from."""
        self.tick()
        self.run.save(self.folder.last)
        self.saved = time.perf_counter()

    def draw(self, after=0.0):
        """Draw the curves, if there is something on them and the last drawing is `after` seconds ago."""
        position = self.run.position
        if position.rows and time.perf_counter() - self.drawn >= after:
            draw_curves(self.folder.curves, position.rows, position.best["epoch"], self.folder.path.name)
            self.drawn = time.perf_counter()

    def explain(self, error):
        """Where numbers ceased to be numbers, and what can be done."""
        position, names = self.run.position, {id(module): name for name, module in self.run.model.named_modules()}
        layer = "" if error.module is None else f" in layer {names.get(id(error.module)) or 'the model itself'}"
        advice = "" if self.detect_nan else " --detect-nan with it shows in which layer it begins;"
        return (f"epoch {position.epoch + 1}, step {position.step + 1}: {error}{layer}. "
                f"--resume {self.folder.path} goes on from the last good checkpoint;{advice} "
                "a smaller learning rate may help")


def merit(row):
    """What is compared between epochs: accuracy on the validation set, then its loss."""
    return row["validation_accuracy"], -row["validation_loss"]
