"""All that a run is between two steps, and its way into a checkpoint and back.

Weights, their average, the optimizer's memory, the schedule, the stream of random numbers, the place in the data, sums
begun, rows of the log, the best epoch so far: if one of them were left out, a resumed run would go another way. The
weights lie in the file under their own names, so it also serves where only they are wanted.
"""

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field

import numpy as np

import minidl.device
from minidl.io import CheckpointError, describe, load_checkpoint, load_into, read_weights, save_checkpoint
from minidl.io.checkpoint import AVERAGE, OPTIMIZER, weights_among
from minidl.tensor import NonFiniteError
from minidl.train.log import COLUMNS


@dataclass
class Position:
    """How far a run has come. `loss` and `correct` are sums over the `images` of the epoch under way."""

    epoch: int = 0                               # epochs that are finished
    step: int = 0                                # steps done in the next one
    loss: float = 0.0
    correct: int = 0
    images: int = 0
    seconds: float = 0.0
    rows: list = field(default_factory=list)     # what `log.csv` shows of the finished epochs
    best: dict | None = None                     # the row of the best of them
    stopped: bool = False                        # whether it ended early

    def __str__(self):
        return f"step {self.step} of epoch {self.epoch + 1}"

    def begin_epoch(self):
        """Go to the start of the next epoch."""
        self.epoch += 1
        self.step, self.loss, self.correct, self.images, self.seconds = 0, 0.0, 0, 0, 0.0


class Run:
    """A model on its way: with `optimizer`, `schedule` and `average` (each of the two may be None), and a `position`.

    recipe   what the numbers depend on; a checkpoint of another recipe is not resumed
    about    facts that are saved for whoever uses the weights: classes, mean and std of the pixels, ...
    """

    def __init__(self, model, optimizer, schedule, recipe, about, average=None):
        self.model, self.optimizer, self.schedule, self.average = model, optimizer, schedule, average
        self.recipe = json.loads(json.dumps(recipe, default=str))        # as it will come back from a file
        self.about = {**describe(model), **about}
        self.position = Position()

    def in_evaluation(self):
        """A context in which the model has the weights that are to be judged: the averaged ones, if there are such."""
        return self.average.averaged() if self.average else nullcontext()

    def save_weights(self, path):
        """Write the weights that were judged, with what one has to know to use them."""
        with self.in_evaluation():
            arrays = self.model.state_dict()
        check_weights(arrays, self.position)
        save_checkpoint(path, arrays, {**self.about, "recipe": self.recipe, "epoch": self.position.epoch})

    def save(self, path):
        """Write everything. Raises NonFiniteError rather than replace good weights by bad ones."""
        weights, optimizer = self.model.state_dict(), self.optimizer.state_dict()
        check_weights(weights, self.position)
        average = self.average.state_dict() if self.average else {"arrays": {}, "numbers": None}
        arrays = weights | prefixed(OPTIMIZER, optimizer["arrays"]) | prefixed(AVERAGE, average["arrays"])
        save_checkpoint(path, arrays, {
            **self.about,
            "recipe": self.recipe,
            "position": asdict(self.position),
            "optimizer": optimizer["numbers"],
            "schedule": self.schedule and self.schedule.state_dict(),
            "average": average["numbers"],
            "random_state": minidl.device.random_state(),
        })

    def load(self, path):
        """Go on from what `save` wrote. Raises CheckpointError if it does not belong to a run like this one."""
        arrays, facts = load_checkpoint(path)
        if not isinstance(facts.get("position"), dict):
            raise CheckpointError(f"{path}: it holds weights, but no run to go on with")
        self.compare(path, facts.get("recipe"))
        try:
            self.model.load_state_dict(weights_among(arrays))
            if self.schedule:
                self.schedule.load_state_dict(facts["schedule"])       # sets the learning rate, and so comes first
            self.optimizer.load_state_dict({"arrays": those_of(OPTIMIZER, arrays), "numbers": facts["optimizer"]})
            if self.average:
                self.average.load_state_dict({"arrays": those_of(AVERAGE, arrays), "numbers": facts["average"]})
            minidl.device.set_random_state(facts["random_state"])
            self.position = read_position(facts["position"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of this run ({error})") from error

    def compare(self, path, saved):
        """Raise CheckpointError that names what was asked for differently when the run began."""
        saved = saved if isinstance(saved, dict) else {}
        changed = [key for key in {**saved, **self.recipe} if saved.get(key) != self.recipe.get(key)]
        if changed:
            was = ", ".join(f"{key}={saved.get(key)!r} (now {self.recipe.get(key)!r})" for key in changed)
            raise CheckpointError(f"{path}: this run was started with {was}; give the same again, or start another run")


def load_weights(model, path):
    """Copy the weights of a file, whether of a run or of weights alone, into the model; returns the file's facts."""
    arrays, facts = read_weights(path)
    load_into(model, arrays, path)
    return facts


def prefixed(prefix, arrays):
    """The arrays under the names that they have in a checkpoint."""
    return {prefix + name: array for name, array in arrays.items()}


def those_of(prefix, arrays):
    """The inverse: those arrays of a checkpoint whose names have the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def check_weights(weights, position):
    """Raise NonFiniteError unless all weights are finite."""
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise NonFiniteError(f"{name} holds NaN or infinity after {position}")


def read_position(saved):
    """The Position that `asdict` was given. Raises TypeError or ValueError if it is none."""
    position = Position(**saved)
    rows = position.rows + ([position.best] if position.best else [])
    counts = (position.epoch, position.step, position.images, position.correct)
    sums = (position.loss, position.seconds, *(value for row in rows for value in row.values() if value is not None))
    if not (all(isinstance(count, int) and count >= 0 for count in counts)
            and all(isinstance(number, int | float) for number in sums)
            and all(set(row) == set(COLUMNS) for row in rows)
            and len(position.rows) == position.epoch and bool(position.rows) == bool(position.best)
            and bool(position.images) == bool(position.step)):
        raise ValueError("its position does not fit together")
    return position
