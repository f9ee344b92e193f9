"""What a report says of a run beside its results: how it was trained, on what, and when."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl.report.log import COLUMNS, Row

LARGEST = 1 << 24                                # bytes of args.json and of log.csv


@dataclass(frozen=True)
class Facts:
    """All of it is optional.

    name      of the run
    part      which part of the data the report is of: "test", "validation" or another word
    rows      the rows of log.csv
    args      the content of args.json: recipe, command, date, versions
    best      the number of the best epoch
    counts    {part: how many images, or pixels of masks, each class has}
    tta       whether, and how, the model saw each image several times
    """

    name: str = ""
    part: str = "test"
    rows: list[Row] = field(default_factory=list)
    args: dict[str, Any] = field(default_factory=dict)
    best: int | None = None
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    tta: bool | str = False

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return sum(row["seconds"] or 0.0 for row in self.rows)

    @property
    def recipe(self) -> dict[str, Any]:
        """The settings of the run."""
        recipe = self.args.get("recipe")
        return recipe if isinstance(recipe, dict) else {}


def facts_of(run: str | Path | None, part: str = "test", sets: Mapping[str, Any] | None = None, tta: bool | str = False,
             best: int | None = None) -> Facts:
    """The facts in the folder of a run, as far as it has any, and the class counts of data sets {part: set}."""
    counts = {name: dataset.class_counts() for name, dataset in (sets or {}).items() if hasattr(dataset,
                                                                                               "class_counts")}
    if run is None:
        return Facts(part=part, counts=counts, tta=tta)
    folder = Path(run)
    rows, args = read_log(folder / "log.csv"), read_args(folder / "args.json")
    return Facts(folder.resolve().name if rows or args else "", part, rows, args, best, counts, tta)


def read_args(path: Path) -> dict[str, Any]:
    """The content of args.json; empty if there is none, or none that can be read."""
    try:
        args = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return args if isinstance(args, dict) else {}


def read_log(path: Path) -> list[Row]:
    """The rows of log.csv as numbers, None for empty cells; empty if there is none, or none that can be read."""
    try:
        lines = list(csv.DictReader(read_text(path).splitlines()))
        rows: list[Row] = [{name: float(line[name]) if line.get(name) else None for name in line} for line in lines]
        for row in rows:
            row["epoch"] = int(row["epoch"])
        return rows if all(set(COLUMNS) <= set(row) for row in rows) else []
    except (OSError, ValueError, KeyError, TypeError, OverflowError, csv.Error):
        return []


def read_text(path: Path) -> str:
    """The text of a file of at most LARGEST bytes."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: more than {LARGEST} bytes")
    return path.read_text(encoding="utf-8")
