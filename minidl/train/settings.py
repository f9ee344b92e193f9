"""`Settings`: everything that `fit` takes besides the model, the optimizer and the data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from minidl.device import Device
from minidl.optim import ReduceLROnPlateau
from minidl.optim.schedules import Schedule
from minidl.tensor import Tensor


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run trains, saves and reports. Raises ValueError for values that make no sense.

    output_dir           the folder of the run
    epochs               passes over the training set
    batch_size           images per step
    loss                 loss(logits, labels) -> the mean over the batch; by default the model's own method `loss`, if
                         it has one, else cross entropy
    schedule             the learning-rate schedule of the optimizer
    schedule_every       whether the schedule takes a step per "step" or per "epoch"
    device               "cpu", "gpu" or "gpu:1"
    seed                 seed for shuffling
    patience             stop after this many epochs without improvement
    prefetch             the number of batches that a thread prepares ahead; 0 for no thread
    accumulate           split each batch into this many parts, processed one after another: the same step in less
                         memory, except that batch normalization sees only a part at a time
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
    loss: Callable[[Any, Any], Tensor] | None = None
    schedule: Schedule | ReduceLROnPlateau | None = None
    schedule_every: Literal["step", "epoch"] = "step"
    device: str | Device = "cpu"
    seed: int = 0
    patience: int | None = None
    prefetch: int = 2
    accumulate: int = 1
    ema_decay: float | None = None
    resume: bool = False
    checkpoint_interval: float = 60.0
    log_interval: float = 10.0
    detect_nan: bool = False
    dry_run: bool = False
    recipe: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.schedule_every not in ("step", "epoch"):
            raise ValueError(f"fit: schedule_every={self.schedule_every!r} is neither 'step' nor 'epoch'")
        if isinstance(self.schedule, ReduceLROnPlateau) and self.schedule_every == "step":
            raise ValueError("fit: ReduceLROnPlateau needs the loss of a whole epoch; set schedule_every='epoch'")
        if self.accumulate < 1:
            raise ValueError(f"fit: accumulate={self.accumulate} must be at least 1")
        if self.epochs < 1:
            raise ValueError(f"fit: epochs={self.epochs} must be at least 1")
