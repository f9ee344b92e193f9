"""Plots of a run: its learning curves, and the confusion matrix.

Matplotlib is imported when the first plot is drawn (see `plot/figure.py`).
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.plot.figure import literal, new_figure, write_png
from minidl.train.log import Row

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
    rates.plot(epochs, [row["lr"] for row in rows], color=RATE, marker="o", markersize=3)
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


def draw_confusion(path: str | Path, confusion: np.ndarray, names: Sequence[str], title: str = "") -> None:
    """The confusion matrix as PNG: the number in a cell counts images, its colour is their fraction of the row."""
    size = max(4.0, 0.55 * len(names) + 1.5)
    figure = new_figure(size, size, textwrap.fill(title, int(11 * size)))
    axes = figure.subplots()
    fractions = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    axes.imshow(np.sqrt(fractions), cmap="Blues", vmin=0, vmax=1)    # the square root makes rare mistakes visible
    slant: dict[str, Any] = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    shown = [literal(name) for name in names]
    axes.set_xticks(range(len(names)), shown, **slant)
    axes.set_yticks(range(len(names)), shown)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if fractions[row, column] > 0.4 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    write_png(path, figure)
