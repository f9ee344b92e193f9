"""`Settings`: everything that `fit` takes besides the model, the optimizer and the data."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from minidl.augment.mix import Mix
from minidl.device import CPU, Device
from minidl.errors import for_command
from minidl.evaluation.augmented import VIEWS
from minidl.optim import ReduceLROnPlateau
from minidl.optim.average import Average
from minidl.optim.schedules import Schedule, needs_metric
from minidl.precision import half
from minidl.scalars import flag, number, plain, whole
from minidl.tensor import Tensor
from minidl.train.callbacks import Callback
from minidl.train.mixing import mixes_of

if TYPE_CHECKING:                                # a program of one process imports nothing of it
    from minidl.distributed import Communicator

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
    amp                  "float16" or "bfloat16": products in half precision, on a GPU; weights, statistics and losses
                         stay float32. With float16 the loss is scaled, and steps whose gradients overflow are left out
    graph                capture a step and repeat it: the same results with less work for Python. On a GPU it is a CUDA
                         graph. Other steps, such as that of a smaller last batch, stay eager, and a line says why.
                         None: only where it is sure to work: on the CPU, in one process, without callbacks
    resident             whether the training images are kept on the GPU, and batches made there; None: if they fit
                         into a quarter of its free memory, and nothing has to be done to them on the CPU. The results
                         are the same
    prefetch             the number of batches that a thread prepares ahead; 0 for no thread
    accumulate           split each batch into this many parts, processed one after another: the same step in less
                         memory, except that batch normalization sees only a part at a time
    freeze               the dotted name, or several, of parts of the model that do not learn: modules, lists of them,
                         or parameters. Their parameters require no gradient during the run, and their modules are in
                         eval mode, so that their batch norms do not learn either; afterwards both are as before.
                         {"layer1": 3} freezes a part in the first 3 epochs only; None means all epochs
    clip_norm            scale the gradients so that together, as one vector, they are no longer than this
    balanced             in each epoch, take equally many images of each class: see `DataLoader`
    ema_decay            validate and keep the exponential moving average of the weights, with this decay and a warm-up
    average              an average of the model's weights to validate and keep instead, such as optim.Lookahead(model)
    resume               continue the run in `output_dir`, if there is one, as if it had never stopped; with more epochs
                         a finished run is extended
    overwrite            delete the run in `output_dir`, if there is one, and start anew
    checkpoint_interval  seconds between checkpoints within an epoch; there is always one at the end of an epoch
    callbacks            train.Callback objects, called in this order, after those of the library
    tensorboard          write the log for TensorBoard, too, into the folder `tensorboard` of the run
    log_interval         seconds between lines within an epoch when stderr is not a terminal; 0 for none
    detect_nan           check every operation's output for NaN and infinity; slow
    communicator         the ranks of a run in several processes, such as distributed.MPI(): each takes its part of each
                         batch. Rank 0 alone prints and writes. See docs/distributed.md
    sync_batch_norm      batch norms use the moments of the images of all ranks, see `nn.SyncBatchNorm2d`
    compress             "bfloat16": ranks send their gradients in half of the bytes, rounded to 8 bits. It pays on slow
                         networks
    compare_weights      stop the run if the weights of two ranks differ, at its start or after an epoch
    tta                  report on the test set with test-time augmentation: True, or how (see `Augmented`)
    dry_run              take a few steps, write the report, and keep nothing
    overfit              train on a single batch, not augmented, until its loss has fallen to a tenth, say whether it
                         has, and keep nothing: a network that cannot do this has a fault
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
    amp: Literal["float16", "bfloat16"] | None = None
    graph: bool | None = False
    resident: bool | None = None
    prefetch: int = 2
    accumulate: int = 1
    freeze: str | Sequence[str] | Mapping[str, int | None] = ()
    clip_norm: float | None = None
    balanced: bool = False
    ema_decay: float | None = None
    average: Average | None = None
    resume: bool = False
    overwrite: bool = False
    checkpoint_interval: float = 60.0
    callbacks: Sequence[Callback] = ()
    tensorboard: bool = False
    log_interval: float = 10.0
    detect_nan: bool = False
    communicator: "Communicator | None" = None
    sync_batch_norm: bool = False
    compress: Literal["bfloat16"] | None = None
    compare_weights: bool = True
    tta: bool | str = False
    dry_run: bool = False
    overfit: bool = False
    recipe: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "batch_size": 1, "accumulate": 1, "seed": 0, "prefetch": 0}.items():
            self.change(name, whole("fit", name, getattr(self, name), least))
        for name in ("drop_last", "resume", "overwrite", "detect_nan", "dry_run", "overfit", "balanced",
                     "tensorboard", "sync_batch_norm", "compare_weights"):
            self.change(name, flag("fit", name, getattr(self, name)))
        for name in ("checkpoint_interval", "log_interval"):
            value = plain(getattr(self, name))
            self.change(name, math.inf if value == math.inf else number("fit", name, value, 0))
        for name in ("graph", "resident"):
            if getattr(self, name) is not None:
                self.change(name, flag("fit", name, getattr(self, name)))
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
        self.change("freeze", frozen_epochs(self.freeze))
        self.change("callbacks", tuple(self.callbacks))
        if self.clip_norm is not None:
            norm = plain(self.clip_norm)
            if not isinstance(norm, int | float) or isinstance(norm, bool) or not norm > 0:
                raise ValueError(f"fit: clip_norm={norm!r} must be a number larger than 0")
            self.change("clip_norm", float(norm))
        self.check()

    def change(self, name: str, value: Any) -> None:
        """Set a field, which only `__post_init__` does."""
        object.__setattr__(self, name, value)

    @property
    def mixes(self) -> tuple[Mix, ...]:
        """The setting `mix` as a tuple."""
        return mixes_of(self.mix)

    @property
    def frozen(self) -> dict[str, int | None]:
        """The setting `freeze` as {name: the number of epochs, None for all}."""
        return frozen_epochs(self.freeze)

    @property
    def keeps(self) -> bool:
        """Whether the run keeps its files."""
        return not (self.dry_run or self.overfit)

    def check(self) -> None:
        """Raise unless the settings that are no numbers make sense, too."""
        if not isinstance(self.output_dir, str | os.PathLike):
            raise TypeError(f"fit: output_dir={self.output_dir!r} must be the path of a folder")
        if self.communicator is not None and not hasattr(self.communicator, "all_gather"):
            raise TypeError(f"fit: communicator={self.communicator!r} must be one of minidl.distributed, such as MPI()")
        if self.compress not in (None, "bfloat16"):
            raise ValueError(f"fit: compress={self.compress!r} must be 'bfloat16' or None")
        for name, flags in {"sync_batch_norm": "--sync-batch-norm", "compress": "--compress"}.items():
            if (value := getattr(self, name)) and self.communicator is None:
                reason = "is for several processes"
                raise for_command(ValueError(f"fit: {name}={value!r} {reason}; give a communicator"),
                                  f"{flags} {reason}; add --distributed")
        if not isinstance(self.recipe, dict | None):
            raise TypeError(f"fit: recipe={self.recipe!r} must be a dictionary of facts")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"fit: {callback!r} in callbacks must be a train.Callback; an object, not a class")
        if self.loss is not None and (self.label_smoothing or self.class_weights):
            raise ValueError("fit: label_smoothing and class_weights belong to the default loss; put them into `loss`")
        if not isinstance(self.average, Average | None):
            raise TypeError(f"fit: average={self.average!r} must be an average, such as optim.Lookahead(model)")
        if self.average is not None and self.ema_decay is not None:
            raise ValueError("fit: average and ema_decay both say which weights are kept; give one of them")
        if self.amp is not None:
            half(self.amp, "fit: amp")
        for name, reason in {"amp": "needs a GPU; the CPU computes in float32"}.items():
            if (value := getattr(self, name)) and Device.parse(self.device) == CPU:
                command = f"--{name}" if value is True else f"--{name} {value}"
                raise for_command(ValueError(f"fit: {name}={value!r} {reason}"), f"{command} {reason}")
        if not isinstance(self.tta, bool) and self.tta not in VIEWS:
            raise ValueError(f"fit: tta={self.tta!r} must be True, False or one of {', '.join(map(repr, VIEWS))}")
        if self.resume and self.overwrite:
            raise ValueError("fit: resume continues the run in output_dir, and overwrite deletes it; give one of them")
        if self.monitor not in (None, *MONITORS):
            raise ValueError(f"fit: monitor={self.monitor!r} is none of {', '.join(map(repr, MONITORS))}")
        if self.schedule is not None and not callable(getattr(self.schedule, "step", None)):
            raise TypeError(f"fit: schedule={self.schedule!r} must be a schedule, such as optim.StepLR(optimizer, 10)")
        if self.schedule_every not in ("step", "epoch"):
            raise ValueError(f"fit: schedule_every={self.schedule_every!r} is neither 'step' nor 'epoch'")
        if self.schedule_every == "step" and needs_metric(self.schedule):
            raise ValueError("fit: ReduceLROnPlateau needs the loss of a whole epoch; set schedule_every='epoch'")


def frozen_epochs(freeze: Any) -> dict[str, int | None]:
    """The setting `freeze` as {name: the number of epochs, None for all}."""
    if not isinstance(freeze, Mapping):
        freeze = dict.fromkeys((freeze,) if isinstance(freeze, str) else tuple(freeze or ()))
    if not all(isinstance(name, str) for name in freeze):
        raise TypeError(f"fit: freeze={tuple(freeze)!r} must be names of parts of the model")
    return {name: None if epochs is None else whole("fit", f"freeze[{name!r}]", epochs)
            for name, epochs in freeze.items()}
