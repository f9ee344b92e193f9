"""The learning curves of a run as a plot.

Matplotlib is imported when the first plot is drawn (see `plot/figure.py`).
"""

from collections.abc import Sequence
from pathlib import Path

from minidl.plot.figure import new_figure, write_png
from minidl.report.log import Row, rate_columns

TRAIN, VALIDATION, RATE = "#c1440e", "#1f5fa8", "#7a7a7a"


def draw_curves(path: str | Path, rows: Sequence[Row], best: int, title: str = "") -> None:
    """Loss, accuracy and learning rate over the epochs, as PNG; `best` is the number of the best epoch."""
    figure = new_figure(11, 3.6, title)
    losses, accuracies, rates = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]
    for name, color in (("train", TRAIN), ("validation", VALIDATION)):
        if all(row[f"{name}_loss"] is None for row in rows):
            continue
        settings = {"color": color, "label": name, "marker": "o", "markersize": 3}
        losses.plot(epochs, [row[f"{name}_loss"] for row in rows], **settings)
        accuracies.plot(epochs, [100 * row[f"{name}_accuracy"] for row in rows], **settings)
    for column in rate_columns(rows):
        rates.plot(epochs, [row.get(column) for row in rows], color=RATE, marker="o", markersize=3)
    losses.set_yscale("log")
    for axes in (losses, accuracies):
        axes.axvline(best, color=RATE, linestyle=":", label="best epoch")
    titles = ((losses, "loss"), (accuracies, "accuracy (%)"), (rates, "learning rate at the end of the epoch"))
    for axes, name in titles:
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    losses.legend(frameon=False)
    write_png(path, figure)
