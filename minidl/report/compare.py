"""Several runs beside one another: what each reached, what it cost, and in which settings they differ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minidl.io.json_file import for_json
from minidl.io.model import Build
from minidl.plot.figure import literal, new_figure, write_png
from minidl.report.run_files import RunFacts, read_run
from minidl.text import columns, padded, shortened

HEADS = ("run", "network", "parameters", "multiply-adds", "epochs", "validation", "test", "seconds")
LONGEST = 40                                     # columns of the value of a setting
WIDE = 30                                        # costs that differ by this factor are drawn on a logarithmic axis


class Comparison(NamedTuple):
    """The runs that can be compared, under their names, and the reasons why others are left out."""

    runs: dict[str, RunFacts]
    left_out: list[str]


def compare(folders: Sequence[str | Path], build: Build) -> Comparison:
    """Read the folders of runs, finished or not; `build(name, settings)` makes a network, as `zoo.build` does.

    A folder that is damaged, empty, or in which no epoch is finished is left out, with the reason.
    """
    found, left_out = [], []
    for folder in dict.fromkeys(map(Path, folders)):
        try:
            found.append(read_run(folder, build))
        except (ValueError, OSError) as error:
            left_out.append(str(error) if str(folder) in str(error) else f"{folder}: {error}")
    names = [run.folder.resolve().name for run in found]
    return Comparison({str(run.folder) if names.count(name) > 1 else name: run
                       for name, run in zip(names, found, strict=True)}, left_out)


def differences(runs: dict[str, RunFacts]) -> dict[str, list[Any]]:
    """{setting: its value in each run, None where it is not set}, for those settings that are not the same in all."""
    recipes = [run.recipe for run in runs.values()]
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    values = {key: [recipe.get(key) for recipe in recipes] for key in keys}
    return {key: each for key, each in values.items() if any(value != each[0] for value in each)}


def as_text(comparison: Comparison) -> str:
    """The table of runs, and that of the settings in which they differ."""
    runs = comparison.runs
    text = aligned([HEADS, *([name, *cells(run)] for name, run in runs.items())], 2)
    different = differences(runs)
    if not different:
        return text
    rows = [["setting", *runs], *([key, *(short(value) for value in each)] for key, each in different.items())]
    return f"{text}\n\nsettings that differ\n{aligned(rows, len(rows[0]))}"


def cells(run: RunFacts) -> list[str]:
    """The cells of a run, without its name."""
    def count(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.2%}"

    epochs = f"{run.epochs}" if run.planned in (None, run.epochs) else f"{run.epochs} of {run.planned}"
    return [run.cost.network, count(run.cost.parameters), count(run.cost.multiply_adds), epochs, percent(run.best),
            percent(run.test), f"{run.seconds:,.1f}"]


def short(value: Any) -> str:
    """The value of a setting, in a cell."""
    return "-" if value is None else shortened(str(value), LONGEST)


def aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Rows as text in columns; the first `left` columns are aligned on the left, the others on the right."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(padded(cell, width) if i < left else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in rows)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The same for programs, with the rows of all logs."""
    runs = comparison.runs
    return for_json({
        "runs": [{"run": name, "folder": run.folder, **run.cost._asdict(), "epochs": run.epochs,
                  "planned_epochs": run.planned, "best_validation_accuracy": run.best, "test_accuracy": run.test,
                  "seconds": run.seconds, "recipe": run.recipe, "log": run.rows} for name, run in runs.items()],
        "differences": {key: dict(zip(runs, each, strict=True)) for key, each in differences(runs).items()},
        "left_out": comparison.left_out,
    })


def draw_comparison(path: str | Path, runs: dict[str, RunFacts]) -> None:
    """The curves of all runs over one another, as PNG: accuracy over epochs and over time, and the training loss."""
    figure = new_figure(13, 4.2, "")
    over_epochs, over_time, losses = figure.subplots(1, 3)
    validated = all(run.best is not None for run in runs.values())
    column = "validation_accuracy" if validated else "train_accuracy"
    for name, run in runs.items():
        epochs, minutes, total = [row["epoch"] for row in run.rows], [], 0.0
        for row in run.rows:
            total += row["seconds"] / 60
            minutes.append(total)
        accuracies = [None if row[column] is None else 100 * row[column] for row in run.rows]
        style = {"marker": "o", "markersize": 3, "label": literal(name)}
        over_epochs.plot(epochs, accuracies, **style)
        over_time.plot(minutes, accuracies, **style)
        losses.plot(epochs, [row["train_loss"] for row in run.rows], **style)
    kind = column.partition("_")[0].replace("train", "training")
    titles = ((over_epochs, f"{kind} accuracy (%)", "epoch"), (over_time, f"{kind} accuracy (%)", "minutes"),
              (losses, "training loss", "epoch"))
    for axes, title, below in titles:
        axes.set_title(title)
        axes.set_xlabel(below)
        axes.grid(alpha=0.25)
        if below == "epoch":
            axes.xaxis.get_major_locator().set_params(integer=True)
    if all(row["train_loss"] is None or row["train_loss"] > 0 for run in runs.values() for row in run.rows):
        losses.set_yscale("log")
    figure.legend(*over_epochs.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    write_png(path, figure)


def draw_costs(path: str | Path, runs: dict[str, RunFacts]) -> None:
    """What accuracy costs, as PNG: that of each run against its minutes, parameters and multiply-adds."""
    figure = new_figure(13, 4.2, "")
    tested = all(run.test is not None for run in runs.values())
    places = figure.subplots(1, 3)
    costs = [("minutes of training", lambda run: run.seconds / 60),
             ("millions of parameters", lambda run: (run.cost.parameters or 0) / 1e6),
             ("millions of multiply-adds for an image", lambda run: (run.cost.multiply_adds or 0) / 1e6)]
    for axes, (title, cost_of) in zip(places, costs, strict=True):
        for name, run in runs.items():
            known = [cost_of(run)] if cost_of(run) else []           # an empty line still takes its colour
            axes.plot(known, [100 * run.accuracy] * len(known), "o", label=literal(name))
        known = [cost_of(run) for run in runs.values() if cost_of(run)]
        if known and max(known) > WIDE * min(known):
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
        axes.set_xlabel(title)
        axes.grid(alpha=0.25)
    places[0].set_ylabel("test accuracy (%)" if tested else "accuracy (%): test, else validation")
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    write_png(path, figure)
