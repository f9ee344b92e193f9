"""The training loop: forward, loss, backward, step; and after each epoch validation and checkpoints.

`examples/by_hand.py` has the bare loop: read that first. `fit.py` sets everything up, `run.py` defines a run and its
checkpoint, `interrupt.py` stops a run without losing anything, and `callbacks.py` is told of each step and epoch.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from minidl.capture import by_host, constants
from minidl.data import DataLoader, ImageDataset
from minidl.data.protocol import Batch
from minidl.data.resident import is_resident
from minidl.data.upload import uploaded
from minidl.device import CPU, Device
from minidl.errors import for_command
from minidl.evaluation import Evaluation, evaluate, in_order, loss_of
from minidl.evaluation.metrics import dice, iou, mean_over_classes
from minidl.graphs import Graphed
from minidl.memory import out_of_memory
from minidl.modes import NonFiniteError, detect_nonfinite
from minidl.nn.hooks import is_hooked
from minidl.optim.clip import clipped
from minidl.optim.schedules import needs_metric
from minidl.precision import autocast
from minidl.report.log import Row
from minidl.tensor import Tensor
from minidl.text import write
from minidl.train.callbacks import Callbacks
from minidl.train.folder import RunFolder
from minidl.train.freezing import Freezing
from minidl.train.interrupt import Interrupted, Interruption
from minidl.train.losses import training_loss
from minidl.train.one_rank import OneRank, Wishes
from minidl.train.run import Run
from minidl.train.settings import Settings


@dataclass
class Loop:
    """One run with its data and its folder, until it is finished or stopped."""

    run: Run
    folder: RunFolder
    loader: DataLoader
    validation_set: ImageDataset | None
    callbacks: Callbacks
    interruption: Interruption
    settings: Settings
    freezing: Freezing
    masks: bool = False                          # whether labels are masks
    ranks: OneRank = field(default_factory=OneRank)          # this process, or all that train together

    def __post_init__(self) -> None:
        self.device = Device.parse(self.settings.device)
        self.loss = training_loss(self.run.model, self.settings, self.device)
        self.precision = partial(autocast, self.settings.amp) if self.settings.amp else nullcontext
        self.sums = self.run.sums = self.ranks.sums(self.run, self.device)
        self.evaluation_loss = self.settings.loss or loss_of(self.run.model)
        graph = self.settings.graph
        alone = self.device == CPU and self.ranks.size == 1 and not self.settings.callbacks
        self.learn = Graphed(self.learn_from, self.graph_state, self.graph_obstacle, quiet=graph is None) if (
            alone if graph is None else graph) else self.learn_from
        self.monitor = self.settings.monitor or ("iou" if self.masks else "accuracy")
        self.clock = self.saved = time.perf_counter()

    def go(self) -> None:
        """Train until the end, or until a signal arrives: then save, and raise Interrupted with how to resume."""
        try:
            self.settle()
            while not self.run.ended:
                self.tell("epoch_started")
                if not self.run.ended:
                    self.train_epoch()
                    self.end_epoch(self.validate())
            self.interruption.check()
        except Interrupted as stop:
            self.save()
            raise self.stopped(stop) from None
        except NonFiniteError as error:
            raise self.explained(error) from None
        except MemoryError as error:
            if self.device == CPU or " is out of memory: " in str(error):
                raise
            raise MemoryError(out_of_memory(error, self.device)) from error      # a copy, or an optimizer's update
        if self.run.stopping is not None:
            self.end_early(self.run.stopping)

    def tell(self, event: str, *row: Row) -> None:
        """Call the callbacks. If one fails, save the run first: it is between two steps."""
        try:
            getattr(self.callbacks, event)(self.run, *row)
        except Exception:
            with suppress(OSError, NonFiniteError):              # what went wrong first matters more
                self.save()
            raise
        if event != "step_finished":
            self.settle()

    def settle(self) -> None:
        """Stop, or end the run, if any rank is to."""
        number, self.run.stopping = self.ranks.settle(self.interruption.signal, self.run.stopping)
        self.interruption.heed(number)

    def agreed_to_stop(self) -> bool:
        """Whether ranks have agreed to end the run after this epoch. Raises Interrupted if one has got a signal."""
        agreed = self.ranks.agree(Wishes(self.interruption.signal, self.run.stopping is not None))
        self.interruption.heed(agreed.signal)
        return agreed.stop

    def train_epoch(self) -> None:
        """Take the remaining steps of this epoch."""
        run, settings = self.run, self.settings
        self.freezing.train(run.here.epoch)
        self.parts: list[Any] = [(module.training, is_hooked(module), constants(module))
                                 for _, module in run.model.named_modules()]
        self.parts += [p.requires_grad for p in run.model.parameters()]
        self.loader.epoch = run.here.epoch
        watch = detect_nonfinite() if settings.detect_nan else nullcontext()
        with watch, np.errstate(over="ignore", invalid="ignore"):    # `explain` says more than NumPy's warnings
            for images, labels in self.interruption.between(self.batches()):
                self.step(images, labels)
                self.tell("step_finished")
                if time.perf_counter() - self.saved >= settings.checkpoint_interval:
                    self.save()
                if self.agreed_to_stop():
                    break
        self.settle()

    def batches(self) -> Iterator[Batch]:
        """The remaining batches of this epoch, on the device."""
        batches = self.loader.batches(first=self.run.here.step)
        if self.device == CPU or is_resident(self.loader.dataset):
            return batches
        return uploaded(batches, self.device)

    def step(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Learn from one batch, and count it."""
        schedule: Any = self.run.schedule
        self.run.last_loss = self.learn(images, labels)
        self.sums.pending = True
        if self.run.average:
            self.run.average.update()
        if schedule and self.settings.schedule_every == "step":
            schedule.step()
        self.run.here.images += self.ranks.images(labels, self.loader, self.run.here.step)
        self.run.here.step += 1

    def learn_from(self, images: Any, labels: Any) -> Any:
        """Update the weights by a batch, whose gradient is the sum of the gradients of its parts; returns its loss."""
        optimizer = self.run.optimizer
        optimizer.zero_grad()
        total = self.ranks.images(labels, self.loader, self.run.here.step)
        most = math.ceil(total / self.ranks.size)            # images that a rank has
        size = math.ceil(most / self.settings.accumulate)
        parts = [self.add_gradient(images[first:first + size], labels[first:first + size], total, first + size >= most)
                 for first in range(0, most, size)]
        loss = parts[0] if len(parts) == 1 else sum(parts)
        loss = loss if len(labels) in (0, total) else loss * (total / len(labels))
        self.ranks.finish_gradients()
        scaler = self.run.scaler
        if scaler:
            scaler.unscale_(optimizer)
        if self.settings.clip_norm is not None and not by_host(clip := partial(self.clip, self.settings.clip_norm)):
            clip()
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        self.sums.add_step()
        return loss

    def graph_state(self) -> Any:
        """What a captured step has baked in, and may change: on a GPU, settings other than the learning rates."""
        groups = [] if self.device == CPU else self.run.optimizer.param_groups
        settings = [[group[name] for name in self.run.optimizer.settings if name != "lr"] for group in groups]
        return settings, self.parts

    def graph_obstacle(self) -> str:
        """Why a step cannot be captured, or "". """
        return "the model has hooks" if any(isinstance(part, tuple) and part[1] for part in self.parts) else ""

    def clip(self, most: float) -> None:
        """Scale all gradients so that together, as one vector, they are no longer than `most`."""
        norm = clipped(self.run.optimizer.parameters, most)
        self.sums.check_norm(norm)

    def add_gradient(self, images: np.ndarray, labels: np.ndarray, total: int, last: bool) -> Any:
        """Forward and backward for a part of a batch of `total` images; returns its part of the loss.

        The last part is that after which ranks sum gradients. A rank may have none of the images of a small batch;
        synchronised norms still need it.
        """
        labels, share = self.device.put(labels), len(labels) / total
        if last:
            self.ranks.expect_gradients()
        with self.precision():
            logits = self.run.model(Tensor(images, device=self.device))
            loss = self.loss(logits, labels) if len(labels) else nothing(logits)
        value = self.sums.add_loss(loss, len(labels))
        loss = loss if share == 1 else loss * share
        (self.run.scaler.scale(loss) if self.run.scaler else loss).backward()
        if len(labels):
            self.sums.add_decisions(logits.data, labels)
        return value if share == 1 else value * share

    def validate(self) -> Evaluation | None:
        """The Evaluation on the validation set; None without one."""
        if self.validation_set is None:
            return None
        classes = len(self.validation_set.classes)
        batches = self.interruption.between(in_order(self.validation_set, self.loader.prefetch, self.loader.part))
        with self.run.in_evaluation():
            return self.ranks.evaluate(batches, lambda own: evaluate(self.run.model, own, classes, self.device,
                                                                     self.evaluation_loss),
                                       self.run.model, classes, self.agreed_to_stop)

    def end_epoch(self, validation: Evaluation | None) -> None:
        """Log the epoch, compare it with the best one, advance the schedule, and save."""
        self.ranks.compare_weights(self.run.model, f"after epoch {self.run.here.epoch + 1}")
        position, patience = self.run.position, self.settings.patience
        schedule: Any = self.run.schedule
        self.tick()
        row: Row = {
            "epoch": position.epoch + 1,
            "lr": self.run.optimizer.lr,
            "train_loss": position.train_loss,
            "train_accuracy": position.train_accuracy,
            "validation_loss": validation and validation.loss,
            "validation_accuracy": validation and validation.accuracy,
            "seconds": round(position.seconds, 3),
        }
        row |= {f"lr_{number}": group["lr"] for number, group in enumerate(self.run.optimizer.param_groups[1:], 2)}
        if self.masks:
            row["validation_iou"] = validation and mean(iou, validation)
            row["validation_dice"] = validation and mean(dice, validation)
        if schedule and self.settings.schedule_every == "epoch":
            if needs_metric(schedule):
                schedule.step(row["train_loss"] if validation is None else row["validation_loss"])
            else:
                schedule.step()
        position.rows.append(row)
        is_best = position.best is None or validation is None or self.merit(row) > self.merit(position.best)
        position.begin_epoch()
        if is_best:
            position.best = row
            if self.ranks.writes:
                self.run.save_weights(self.folder.best)
        impatient = patience is not None and position.epoch - (position.best or row)["epoch"] >= patience
        position.stopped = impatient or self.run.stopping is not None
        self.save()                              # after the best weights, so that it never refers to missing ones
        self.tell("epoch_finished", row)

    def merit(self, row: Row) -> tuple[float, float]:
        """The key by which epochs are compared: what the setting `monitor` says, then the loss."""
        loss = row["validation_loss"]
        return -loss if self.monitor == "loss" else row[f"validation_{self.monitor}"], -loss

    def tick(self) -> None:
        """Add the time since the last tick to the epoch's time."""
        now = time.perf_counter()
        self.run.here.seconds += now - self.clock
        self.clock = now

    def save(self) -> None:
        """Write the checkpoint from which the run can be resumed."""
        self.tick()
        if self.ranks.writes:
            self.run.save(self.folder.last)
        self.saved = time.perf_counter()

    def end_early(self, reason: str) -> None:
        """Note in the checkpoint that a callback has stopped the run."""
        if not self.run.here.stopped:
            self.run.here.stopped = True
            self.save()
        if self.ranks.writes:
            write(f"stopped after {self.run.here.epoch} of {self.run.length.epochs} epochs: {reason}", flush=True)

    def stopped(self, stop: Interrupted) -> Interrupted:
        """The interruption, with where it came and how to continue."""
        text = f"{stop} after {self.run.here}; "
        if not self.settings.keeps:
            return Interrupted(f"{text}nothing of this run is kept", stop.signal)
        error = Interrupted(f"{text}the run is saved in {self.folder.path}, and fit(..., resume=True) continues it",
                            stop.signal)
        return for_command(error, f"{text}the run is saved, and --resume {self.folder.path} continues it")

    def explained(self, error: NonFiniteError) -> NonFiniteError:
        """The error, with where values stopped being finite and what can be done about it."""
        position, names = self.run.here, {id(module): name for name, module in self.run.model.named_modules()}
        layer = "" if error.module is None else f" in layer {names.get(id(error.module)) or 'the model itself'}"
        step = position.step + 1 if error.step is None else error.step
        place = f"epoch {position.epoch + 1}, step {step}: {error}{layer}. "

        def advice(resume: str, detect: str) -> str:
            kept = "" if not self.settings.keeps else f"{resume} continues from the last good checkpoint; "
            more = "" if self.settings.detect_nan else f"{detect} names the layer where it first appears; "
            return f"{place}{kept}{more}a smaller learning rate may help"
        error.args = (advice("fit(..., resume=True)", "detect_nan=True"),)
        return for_command(error, advice(f"--resume {self.folder.path}", "--detect-nan"))


def nothing(outputs: Any) -> Tensor:
    """A loss of 0 that depends on all outputs for no images."""
    return sum((each.sum() for each in outputs), Tensor(0.0)) if isinstance(outputs, tuple) else outputs.sum()


def mean(metric: Callable[[np.ndarray], np.ndarray], validation: Evaluation) -> float:
    """The mean over the classes of a metric of each class."""
    return mean_over_classes(metric(validation.confusion), validation.confusion)
