"""The learning curves of a run as a plot.

Matplotlib is imported when the first plot is drawn (see `plot/figure.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.plot.figure import literal, new_figure, write_png
from minidl.report.log import Row, rate_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION, RATE, SOFT = "#c1440e", "#1f5fa8", "#7a7a7a", "#66727f"
POINTS = 40                                      # with more epochs, the lines have no points
WIDE = 3.0                                       # the ratio of losses from which the axis is logarithmic
EARLY = 5                                        # one in so many epochs, the first ones, may lie below the panel


def draw_curves(path: str | Path, rows: Sequence[Row], best: int, title: str = "", model: str = "") -> None:
    """Loss, accuracy and learning rate over the epochs, as PNG; `best` is the number of the best epoch."""
    write_png(path, curves(rows, best, title, model))


def curves(rows: Sequence[Row], best: int, title: str = "", model: str = "") -> Figure:
    """The figure: the name of the network, what the best epoch reached, and three panels."""
    figure = new_figure(11, 4.0, "")
    figure.set_layout_engine("constrained", w_pad=0.12)
    figure.suptitle(literal(model or title or "training"), x=0.01, ha="left", fontsize=14, fontweight="bold")
    figure.supxlabel(literal(f"{f'{title}   ' if model and title else ''}{reached(rows, best)}"), x=0.01, ha="left",
                     fontsize=9, color=SOFT)
    losses, accuracies, rates = figure.subplots(1, 3)
    for name, color in (("train", TRAIN), ("validation", VALIDATION)):
        line(losses, rows, f"{name}_loss", color, "training" if name == "train" else name)
        line(accuracies, rows, f"{name}_accuracy", color, scale=100)
    for column in rate_columns(rows):
        line(rates, rows, column, RATE)
    scale_losses(losses, rows)
    leave_out_early(accuracies, rows)
    titles = {losses: "loss", accuracies: "accuracy (%)", rates: "learning rate, at the end of an epoch"}
    for axes, name in titles.items():
        axes.set_title(name, loc="left", fontsize=10, color=SOFT)
        axes.set_xlabel("epoch", color=SOFT)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0, colors=SOFT)
        if axes is not rates:
            axes.axvline(best, color=RATE, linestyle=":", linewidth=1, label="best epoch")
    rates.set_ylim(0)
    figure.legend(*losses.get_legend_handles_labels(), loc="upper right", ncols=3, frameon=False)
    return figure


def line(axes: Axes, rows: Sequence[Row], column: str, color: str, label: str = "", scale: float = 1) -> None:
    """One column of the log; values that are missing interrupt the line."""
    values = [math.nan if row.get(column) is None else scale * row[column] for row in rows]
    if not all(map(math.isnan, values)):
        axes.plot([row["epoch"] for row in rows], values, color=color, label=label, linewidth=1.6, markersize=3.5,
                  marker="o" if len(rows) <= POINTS else "")


def reached(rows: Sequence[Row], best: int) -> str:
    """What the best epoch reached, in words."""
    row = next((row for row in rows if row["epoch"] == best), rows[-1])
    part = "validation" if row.get("validation_loss") is not None else "train"
    named = {"validation": "validation", "train": "training"}[part]
    return (f"best epoch {int(row['epoch'])} of {len(rows)}: {named} loss {row[f'{part}_loss']:.4f}, accuracy "
            f"{row[f'{part}_accuracy']:.2%}, {sum(each['seconds'] for each in rows):,.0f} s in all")


def scale_losses(axes: Any, rows: Sequence[Row]) -> None:
    """A logarithmic axis with plain numbers, if the losses differ enough."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    values = [row[name] for row in rows for name in ("train_loss", "validation_loss") if row.get(name) is not None]
    values = [value for value in values if math.isfinite(value)]
    if not values or min(values) <= 0 or max(values) < WIDE * min(values):
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 100 * min(values) else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def leave_out_early(axes: Axes, rows: Sequence[Row]) -> None:
    """Let the first epochs lie below the panel if they would take more than half of its height, and say what they are.
    """
    names = ("train_accuracy", "validation_accuracy")
    skipped = len(rows) // EARLY
    values = [[100 * row[name] for name in names if row.get(name) is not None] for row in rows]
    early, late = (list(itertools.chain(*part)) for part in (values[:skipped], values[skipped:]))
    if not early or not late or max(late) == min(late) or min(late) - min(early) < max(late) - min(late):
        return
    margin = 0.08 * (max(late) - min(late))
    axes.set_ylim(min(late) - margin, max(late) + margin)
    axes.annotate(f"begins at {min(early):.1f}", (0.98, 0.02), xycoords="axes fraction", ha="right", fontsize=8,
                  color=SOFT)
