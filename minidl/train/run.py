"""The complete state of a run between two steps, and how it is saved and restored.

It consists of the weights, their average, the optimizer's state, the schedule, the random-number stream, the position
in the data, the running sums of the epoch, the rows of the log, and the best epoch. Without any of them, a resumed run
would differ from an uninterrupted one. The weights have their own names in the file, so it also works as a file of
weights.
"""

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minidl.device
from minidl.io import CheckpointError, describe, load_checkpoint, load_into, read_weights, save_checkpoint
from minidl.io.checkpoint import AVERAGE, OPTIMIZER, weights_among
from minidl.io.json_file import for_json
from minidl.modes import NonFiniteError
from minidl.nn import Module
from minidl.optim import GradScaler, Optimizer, ReduceLROnPlateau
from minidl.optim.average import Average
from minidl.optim.schedules import Schedule
from minidl.report.log import COLUMNS, OF_MASKS, RATES, Row

# in the recipe, but no reason to refuse: where images are kept, and the epochs after which the run was extended
CALLED = {"mask_classes": "mask-class", "norm_decay": "no-norm-decay", "schedule_kind": "schedule", "settings": "set"}
NOTED = ("cache", "stream", "extended")


@dataclass
class Position:
    """The progress of a run. `loss` is a sum over the `images` of the current epoch so far.

    counted, correct   how many labels, of images or of pixels, count, and on how many of them the model decided. Of
                       mixed images, the probability of the class that it decided on
    """

    epoch: int = 0                               # finished epochs
    step: int = 0                                # finished steps of the current epoch
    loss: float = 0.0
    correct: float = 0
    counted: int = 0
    images: int = 0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)    # the finished epochs in `log.csv`
    best: Row | None = None                      # the row of the best epoch
    stopped: bool = False                        # whether the run ended early

    def __str__(self) -> str:
        return f"step {self.step} of epoch {self.epoch + 1}"

    def begin_epoch(self) -> None:
        """Move to the start of the next epoch."""
        self.epoch += 1
        self.step, self.loss, self.correct, self.counted, self.images, self.seconds = 0, 0.0, 0, 0, 0, 0.0

    @property
    def train_loss(self) -> float:
        """The mean loss of the current epoch so far."""
        return self.loss / max(1, self.images)

    @property
    def train_accuracy(self) -> float:
        """The fraction of labels that were predicted correctly in the current epoch so far."""
        return self.correct / max(1, self.counted)


class Length(NamedTuple):
    """How long a run is: its epochs, and the steps and the images of each."""

    epochs: int
    steps: int
    images: int


class Run:
    """A model in training with its optimizer, schedule (or None), average of weights (or None), and position.

    recipe   everything that the result depends on; a checkpoint of another recipe is not resumed
    about    facts saved with the weights for their users: classes, mean and std of the pixels, ...
    length   how long it is to be
    folder   where its files are
    error    why it ended, for `run_finished`: None if it was not by an error or Ctrl-C
    """

    def __init__(self, model: Module, optimizer: Optimizer, schedule: Schedule | ReduceLROnPlateau | None,
                 recipe: dict[str, Any], about: dict[str, Any], average: Average | None,
                 length: Length, folder: Path) -> None:
        self.model, self.optimizer, self.schedule, self.average = model, optimizer, schedule, average
        self.recipe = json.loads(json.dumps(for_json(recipe)))           # as it will be read from a file
        self.about = {**describe(model), **about}
        self.length, self.folder = length, folder
        self.here = Position()                   # without what has not been read from a GPU yet: see `sums.py`
        self.sums: Any = None
        self.scaler: GradScaler | None = None    # of the loss, with amp="float16"
        self.last_loss: Any = math.nan           # a number, or on a GPU an array
        self.error: BaseException | None = None
        self.stopping: str | None = None         # the reason given to `stop`
        self.extended = False                    # whether it is a finished run that gets more epochs

    @property
    def position(self) -> Position:
        """The progress. On a GPU, this waits for the steps so far, whose sums belong to it."""
        if self.sums is not None:
            self.sums.read()
        return self.here

    @property
    def loss(self) -> float:
        """The loss of the last step, NaN before the first. On a GPU, this waits for it."""
        return float(self.last_loss)

    def stop(self, reason: str) -> None:
        """End the run in good order, from a callback: the epoch ends after this step, and the run after this epoch.

        The epoch is validated and saved as any other. The run counts as finished, so resuming it trains no further.
        """
        self.stopping = str(reason)

    @property
    def steps(self) -> int:
        """The number of finished steps."""
        return self.here.epoch * self.length.steps + self.here.step

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to train."""
        return self.here.epoch >= self.length.epochs or self.here.stopped or self.stopping is not None

    def in_evaluation(self) -> AbstractContextManager:
        """A context in which the model has the weights to be evaluated: the averaged ones, if there is an average."""
        return self.average.averaged() if self.average else nullcontext()

    def save_weights(self, path: Path) -> None:
        """Write the weights that were evaluated, with the facts needed to use them."""
        with self.in_evaluation():
            arrays = self.model.state_dict()
        check_weights(arrays, self.position)
        save_checkpoint(path, arrays, {**self.about, "recipe": self.recipe, "epoch": self.position.epoch})

    def save(self, path: Path) -> None:
        """Write the complete state. Raises NonFiniteError rather than replace good weights by bad ones."""
        position = self.position
        weights, optimizer = self.model.state_dict(), Optimizer.state_dict(self.optimizer)      # not PyTorch's form
        check_weights(weights, position)
        average = self.average.state_dict() if self.average else {"arrays": {}, "numbers": None}
        arrays = weights | prefixed(OPTIMIZER, optimizer["arrays"]) | prefixed(AVERAGE, average["arrays"])
        save_checkpoint(path, arrays, {
            **self.about,
            "recipe": self.recipe,
            "position": asdict(position),
            "optimizer": optimizer["numbers"],
            "schedule": self.schedule and self.schedule.state_dict(),
            "average": average["numbers"],
            "random_state": minidl.device.random_state(),
            **({"scaler": self.scaler.state_dict()} if self.scaler else {}),
        })

    def load(self, path: Path, read: Callable[[Path], Any] = load_checkpoint) -> None:
        """Restore the state that `save` wrote. Raises CheckpointError if it belongs to a different run."""
        arrays, facts = read(path)
        if not isinstance(facts.get("position"), dict):
            raise CheckpointError(f"{path}: it holds weights, but no run that could be resumed")
        saved = facts["recipe"] if isinstance(facts.get("recipe"), dict) else {}
        self.compare(path, saved, facts["position"])
        try:
            self.model.load_state_dict(weights_among(arrays))
            if self.schedule:
                self.schedule.load_state_dict(facts["schedule"])       # first, because it sets the learning rate
            self.optimizer.load_state_dict({"arrays": without_prefix(OPTIMIZER, arrays), "numbers": facts["optimizer"]})
            if self.schedule and self.extended:
                self.schedule.load_state_dict(facts["schedule"])       # now with the rate of the longer schedule
            if self.average:
                self.average.load_state_dict({"arrays": without_prefix(AVERAGE, arrays), "numbers": facts["average"]})
            if self.scaler:
                self.scaler.load_state_dict(facts["scaler"])
            minidl.device.set_random_state(facts["random_state"])
            self.here = read_position(facts["position"])
            self.here.stopped &= not self.extended
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of this run ({error})") from error

    def compare(self, path: Path, saved: dict[str, Any], position: dict[str, Any]) -> None:
        """Raise CheckpointError, naming each difference, if the saved recipe differs from this one.

        A finished run may get more epochs, and a schedule that is as long. Its recipe then lists after which numbers of
        epochs it was finished before.
        """
        changed = [key for key in {**saved, **self.recipe} if differs(key, saved.get(key), self.recipe.get(key))]
        self.extended = "epochs" in changed and extends(saved, self.recipe, position)
        if self.extended:
            changed = [key for key in changed if key not in ("epochs", "schedule")]
        if changed:
            finish = " A finished run can be extended by more epochs." if changed == ["epochs"] else ""

            def text(name: Callable[[str], str]) -> str:
                was = ", ".join(f"{name(key)}{saved.get(key)!r} (now {self.recipe.get(key)!r})" for key in changed)
                return (f"{path}: this run was started with {was}; resume it with the same settings, or start another "
                        f"run.{finish}")
            raise CheckpointError(text("{}=".format), text(flag_of))
        earlier = [*saved.get("extended", []), *([saved["epochs"]] if self.extended else [])]
        if earlier:
            self.recipe["extended"] = earlier


def extends(saved: dict[str, Any], now: dict[str, Any], position: dict[str, Any]) -> bool:
    """Whether a recipe gives more epochs to a run that was finished, and a schedule of the same kind."""
    epochs, more = saved.get("epochs"), now["epochs"]
    finished = position.get("stopped") is True or position.get("epoch") == epochs
    kinds = [str(recipe.get("schedule")).partition("(")[0] for recipe in (saved, now)]
    return isinstance(epochs, int) and more > epochs and finished and kinds[0] == kinds[1]


def flag_of(setting: str) -> str:
    """The flag of a setting in the recipe."""
    return f"--{CALLED.get(setting, setting.replace('_', '-'))} "


def differs(key: str, saved: Any, now: Any) -> bool:
    """Whether an entry of a recipe tells that the results differ."""
    if key in NOTED:
        return False
    if key in ("optimizer", "schedule") and isinstance(saved, str) and isinstance(now, str) and "(" not in saved:
        return saved != now.partition("(")[0]    # earlier versions noted the type alone
    return saved != now


def load_weights(model: Module, path: str | Path) -> dict[str, Any]:
    """Copy the weights in a file, which may be a run's checkpoint, into the model; returns the file's facts."""
    arrays, facts = read_weights(path, model=model)
    load_into(model, arrays, path)
    return facts


def prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under their names in a checkpoint."""
    return {prefix + name: array for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `prefixed`: the arrays whose names have the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def check_weights(weights: dict[str, np.ndarray], position: Position) -> None:
    """Raise NonFiniteError unless all weights are finite."""
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise NonFiniteError(f"{name} holds NaN or infinity after {position}")


def read_position(saved: dict[str, Any]) -> Position:
    """The Position that `asdict` turned into a dictionary. Raises TypeError or ValueError if it is inconsistent."""
    position = Position(**{"counted": saved.get("images"), **saved})
    rows = position.rows + ([position.best] if position.best else [])
    counts = (position.epoch, position.step, position.images, position.counted)
    values = (position.loss, position.correct, position.seconds,
              *(value for row in rows for value in row.values() if value is not None))
    if not (all(isinstance(count, int) and count >= 0 for count in counts)
            and all(isinstance(value, int | float) for value in values)
            and position.correct >= 0
            and all(set(COLUMNS) <= set(row) for row in rows)
            and all(column in (*COLUMNS, *OF_MASKS) or RATES.fullmatch(column) for row in rows for column in row)
            and len(position.rows) == position.epoch and bool(position.rows) == bool(position.best)
            and bool(position.images) == bool(position.step)):
        raise ValueError("its position is inconsistent")
    return position
