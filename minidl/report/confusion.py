"""The confusion matrix as a plot."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.plot.figure import literal, new_figure, write_png
from minidl.text import shortened

LONGEST = 24                                     # columns of a name beside the matrix
NAMED = 40                                       # no more classes get their names and numbers
SHARES = 12                                      # no more classes get percentages
RIGHT, WRONG, SOFT = (0.12, 0.37, 0.66), (0.76, 0.27, 0.05), "#66727f"       # blue and red


def draw_confusion(path: str | Path, confusion: np.ndarray, names: Sequence[str], title: str = "") -> None:
    """The confusion matrix as PNG: the number in a cell counts images, its colour is their fraction of the row.

    The diagonal is blue and mistakes are red. With more than NAMED classes it has colours only.
    """
    few = len(names) <= NAMED
    size = max(5.5, 0.62 * len(names) + 2.0) if few else 12.0
    figure = new_figure(size, size + 0.4 * few, "")
    figure.suptitle(literal(textwrap.fill(title, int(9 * size))), x=0.02, ha="left", fontsize=12, fontweight="bold")
    axes = figure.subplots()
    fractions = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    axes.imshow(colours(fractions), interpolation="nearest")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    percent = few and len(names) <= SHARES
    figure.supxlabel(f"{'number of images; ' if few else ''}colour{' and percentage' if percent else ''}: share of the "
                     "true class", x=0.02, ha="left", fontsize=8, color=SOFT)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if few:
        name_cells(axes, confusion, fractions, names, percent)
    write_png(path, figure)


def colours(fractions: np.ndarray) -> np.ndarray:
    """(C, C) -> (C, C, 3): white for 0, blue on the diagonal, and red elsewhere."""
    depth = np.sqrt(fractions)[..., None]                            # the square root makes rare mistakes visible
    full = np.where(np.eye(len(fractions), dtype=bool)[..., None], RIGHT, WRONG)
    return 1 - depth * (1 - full)


def name_cells(axes: Any, confusion: np.ndarray, fractions: np.ndarray, names: Sequence[str], percent: bool) -> None:
    """Write the names of the classes beside the matrix, and the numbers into its cells."""
    long, large = max(map(len, names)) > 3, 1.5 if len(names) < 5 else 1.0
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if long else {}
    shown = [literal(shortened(name, LONGEST)) for name in names]
    axes.set_xticks(range(len(names)), shown, **slant)
    axes.set_yticks(range(len(names)), shown)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#e6e9ec", linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if fractions[row, column] > 0.4 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="bottom" if percent else "center", color=color,
                      fontsize=9 * large if percent else 8)
            if percent:
                axes.text(column, row + 0.06, f"{fractions[row, column]:.1%}", ha="center", va="top", color=color,
                          fontsize=7 * large, alpha=0.85)
