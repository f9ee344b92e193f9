"""`Settings`: everything that `fit` takes besides the model, the optimizer and the data."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minidl.augment.mix import Mix
from minidl.device import Device
from minidl.optim import ReduceLROnPlateau
from minidl.optim.schedules import Schedule, needs_metric
from minidl.scalars import flag, number, plain, whole
from minidl.tensor import Tensor
from minidl.train.mixing import mixes_of

MONITORS = ("accuracy", "loss", "iou", "dice")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run trains, saves and reports. Raises ValueError for values that make no sense.

    Numbers of NumPy's are taken as Python's.

    output_dir           the folder of the run
    epochs               passes over the training set
    batch_size           images per step
    drop_last            leave out the last batch of an epoch if it is smaller
    loss                 loss(logits, labels) -> the mean over the batch, in training and in evaluation; by default the
                         model's own method `loss`, if it has one, else cross entropy
    label_smoothing, class_weights   of the default loss, in training alone: see `F.cross_entropy`
    mix                  augment.MixUp(...) or augment.CutMix(...), or a list of which one is chosen for each batch
    schedule             the learning-rate schedule of the optimizer
    schedule_every       whether the schedule takes a step per "step" or per "epoch"
    device               "cpu", "gpu" or "gpu:1"
    seed                 seed for shuffling
    monitor              what selects the best epoch: the "accuracy" or the "loss" of the validation set, or the mean
                         "iou" or "dice" of masks; by default the accuracy, of masks the IoU
    patience             stop after this many epochs without improvement
    prefetch             the number of batches that a thread prepares ahead; 0 for no thread
    accumulate           split each batch into this many parts, processed one after another: the same step in less
                         memory, except that batch normalization sees only a part at a time
    freeze               the dotted name, or several, of parts of the model that do not learn: modules, lists of them,
                         or parameters. Their parameters require no gradient during the run, and their modules are in
                         eval mode, so that their batch norms do not learn either; afterwards both are as before
    ema_decay            validate and keep the exponential moving average of the weights, with this decay and a warm-up
    resume               continue the run in `output_dir`, if there is one, as if it had never stopped
    checkpoint_interval  seconds between checkpoints within an epoch; there is always one at the end of an epoch
    log_interval         seconds between lines within an epoch when stderr is not a terminal; 0 for none
    detect_nan           check every operation's output for NaN and infinity; slow
    dry_run              take a few steps, write the report, and keep nothing
    recipe               further facts that the result depends on: stored in args.json, and compared on resuming
    """

    output_dir: str | Path
    epochs: int
    batch_size: int = 128
    drop_last: bool = False
    loss: Callable[[Any, Any], Tensor] | None = None
    label_smoothing: float = 0.0
    class_weights: Sequence[float] | None = None
    mix: Mix | Sequence[Mix] | None = None
    schedule: Schedule | ReduceLROnPlateau | None = None
    schedule_every: Literal["step", "epoch"] = "step"
    device: str | Device = "cpu"
    seed: int = 0
    monitor: Literal["accuracy", "loss", "iou", "dice"] | None = None
    patience: int | None = None
    prefetch: int = 2
    accumulate: int = 1
    freeze: str | Sequence[str] = ()
    ema_decay: float | None = None
    resume: bool = False
    checkpoint_interval: float = 60.0
    log_interval: float = 10.0
    detect_nan: bool = False
    dry_run: bool = False
    recipe: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "batch_size": 1, "accumulate": 1, "seed": 0, "prefetch": 0}.items():
            self.change(name, whole("fit", name, getattr(self, name), least))
        for name in ("drop_last", "resume", "detect_nan", "dry_run"):
            self.change(name, flag("fit", name, getattr(self, name)))
        for name in ("checkpoint_interval", "log_interval"):
            value = plain(getattr(self, name))
            self.change(name, math.inf if value == math.inf else number("fit", name, value, 0))
        if self.patience is not None:
            self.change("patience", whole("fit", "patience", self.patience, 0))
        if self.ema_decay is not None:
            self.change("ema_decay", number("fit", "ema_decay", self.ema_decay, 0, 1))
        self.change("label_smoothing", number("fit", "label_smoothing", self.label_smoothing, 0, 1))
        if self.class_weights is not None:
            weights = plain(self.class_weights)
            if not isinstance(weights, list | tuple):
                raise TypeError(f"fit: class_weights={weights!r} must be one number for each class")
            self.change("class_weights", tuple(number("fit", "class_weights", each, 0) for each in weights))
        self.change("mix", mixes_of(self.mix))
        self.change("recipe", plain(self.recipe))
        self.change("freeze", (self.freeze,) if isinstance(self.freeze, str) else tuple(self.freeze or ()))
        self.check()

    def change(self, name: str, value: Any) -> None:
        """Set a field, which only `__post_init__` does."""
        object.__setattr__(self, name, value)

    def check(self) -> None:
        """Raise unless the settings that are no numbers make sense, too."""
        if not isinstance(self.output_dir, str | os.PathLike):
            raise TypeError(f"fit: output_dir={self.output_dir!r} must be the path of a folder")
        if not isinstance(self.recipe, dict | None):
            raise TypeError(f"fit: recipe={self.recipe!r} must be a dictionary of facts")
        if not all(isinstance(name, str) for name in self.freeze):
            raise TypeError(f"fit: freeze={self.freeze!r} must be names of parts of the model")
        if self.loss is not None and (self.label_smoothing or self.class_weights):
            raise ValueError("fit: label_smoothing and class_weights belong to the default loss; put them into `loss`")
        if self.monitor not in (None, *MONITORS):
            raise ValueError(f"fit: monitor={self.monitor!r} is none of {', '.join(map(repr, MONITORS))}")
        if self.schedule is not None and not callable(getattr(self.schedule, "step", None)):
            raise TypeError(f"fit: schedule={self.schedule!r} must be a schedule, such as optim.StepLR(optimizer, 10)")
        if self.schedule_every not in ("step", "epoch"):
            raise ValueError(f"fit: schedule_every={self.schedule_every!r} is neither 'step' nor 'epoch'")
        if self.schedule_every == "step" and needs_metric(self.schedule):
            raise ValueError("fit: ReduceLROnPlateau needs the loss of a whole epoch; set schedule_every='epoch'")
