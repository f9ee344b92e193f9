"""What the folder of a run tells: which network was trained how, the results of each epoch, and the test.

Folders may be damaged, unfinished, or from elsewhere: every defect is a ValueError or OSError that says what is wrong.
"""

import csv
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from minidl.io import load_checkpoint
from minidl.io.model import Build, rebuilt
from minidl.nn import init
from minidl.nn.module import tensors
from minidl.report.log import Row
from minidl.summary import summary

LARGEST = 1 << 24                                # bytes of a text file of a run
NEEDED = ("epoch", "train_loss", "train_accuracy", "validation_accuracy", "seconds")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Cost(NamedTuple):
    """The name of a network, its number of parameters, and its multiply-adds for one image; None if not known."""

    network: str
    parameters: int | None
    multiply_adds: int | None


class RunFacts(NamedTuple):
    """A run: its recipe, the rows of its log, the accuracy in its test (None without one), and its network's cost."""

    folder: Path
    recipe: dict[str, Any]
    rows: list[Row]
    test: float | None
    cost: Cost

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.rows)

    @property
    def planned(self) -> int | None:
        """The epochs that the run was started for; None if that is not known."""
        epochs = self.recipe.get("epochs")
        return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None

    @property
    def seconds(self) -> float:
        """The time of all finished epochs."""
        return sum(row["seconds"] for row in self.rows)

    @property
    def best(self) -> float | None:
        """The best validation accuracy; None if there was no validation."""
        return max((row["validation_accuracy"] for row in self.rows if row["validation_accuracy"] is not None),
                   default=None)

    @property
    def accuracy(self) -> float:
        """What the run is judged by: the accuracy in the test, else the best in validation, else in training."""
        known = (self.test, self.best, self.rows[-1]["train_accuracy"])
        return next(value for value in known if value is not None)


def read_run(folder: str | Path, build: Build) -> RunFacts:
    """The facts about the run in a folder; `build(name, settings)` makes its network, as `zoo.build` does.

    Raises ValueError or OSError, which names the file, if it holds no run with a finished epoch.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}")
    if not (folder / "args.json").exists():
        raise ValueError(f"{folder}: no run; it has no args.json")
    recipe = json_file(folder / "args.json").get("recipe")
    if not isinstance(recipe, dict):
        raise ValueError(f"{folder / 'args.json'}: there is no recipe in it")
    if not (folder / "log.csv").exists():
        raise ValueError(f"{folder}: no epoch is finished yet")
    rows = read_log(folder / "log.csv")
    return RunFacts(folder, recipe, rows, tested(folder / "metrics.json"), cost(folder / "best.safetensors", build))


def text_of(path: Path) -> str:
    """A text file of a reasonable size."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes are more than such a file can have")
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text ({error.reason})") from None


def json_file(path: Path) -> dict[str, Any]:
    """The dictionary in a JSON file."""
    try:
        value = json.loads(text_of(path), parse_constant=float)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON, or cut off ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: not a dictionary")
    return value


def read_log(path: Path) -> list[Row]:
    """The rows of a log.csv: numbers, and None for empty cells."""
    try:
        lines = list(csv.DictReader(text_of(path).splitlines(), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}: not a log ({error})") from None
    if not lines:
        raise ValueError(f"{path}: no epoch is finished yet")
    if missing := [name for name in NEEDED if name not in lines[0]]:
        raise ValueError(f"{path}: not a log of training; it has no column {', '.join(missing)}")
    rows = [{name: cell(path, name, text) for name, text in line.items() if name is not None} for line in lines]
    for number, row in enumerate(rows, 1):
        if any(row[name] is None for name in ("epoch", "train_accuracy", "seconds")) or row["epoch"] != number:
            raise ValueError(f"{path}: damaged; line {number + 1} is not that of epoch {number}")
    return rows


def cell(path: Path, column: str, text: Any) -> float | None:
    """The finite number in a cell; None for an empty one."""
    if text is None or text == "":
        return None
    try:
        value = float(text)
    except (ValueError, TypeError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path}: damaged; {column} is {text!r:.40}")
    return value


def tested(path: Path) -> float | None:
    """The accuracy in metrics.json; None if there was no test yet, or only a report of the validation images."""
    metrics = json_file(path) if path.exists() else {}
    if not metrics or metrics.get("part", "test") != "test":
        return None
    accuracy = metrics.get("accuracy")
    if isinstance(accuracy, bool) or not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
        raise ValueError(f"{path}: its accuracy is {accuracy!r:.40}")
    return float(accuracy)


def cost(path: Path, build: Build) -> Cost:
    """The Cost of the network in a model file; what is not in the zoo has no multiply-adds."""
    arrays, facts = load_checkpoint(path)
    architecture, shape = facts.get("architecture"), facts.get("input")
    if not isinstance(architecture, dict):
        name = str(architecture or "unknown").rpartition(".")[2]
        return Cost(name, sum(a.size for key, a in arrays.items() if not key.endswith(STATISTICS)), None)
    with init.placeholders():
        model = rebuilt(path, arrays, architecture, build)
    if {name: tensor.shape for name, tensor, _, saved in tensors(model) if saved} != {
            name: array.shape for name, array in arrays.items()}:
        raise ValueError(f"{path}: its weights are not those of {architecture['name']}")
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and 0 < n <= 4096 for n in shape)):
        return Cost(architecture["name"], sum(p.numel() for p in model.parameters()), None)
    table = summary(model, shape)
    return Cost(architecture["name"], table.parameters, table.multiply_adds)
