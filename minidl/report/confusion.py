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


def draw_confusion(path: str | Path, confusion: np.ndarray, names: Sequence[str], title: str = "") -> None:
    """The confusion matrix as PNG: the number in a cell counts images, its colour is their fraction of the row.

    With more than NAMED classes it has colours only.
    """
    few = len(names) <= NAMED
    size = max(4.0, 0.55 * len(names) + 1.5) if few else 12.0
    figure = new_figure(size, size, textwrap.fill(title, int(11 * size)))
    axes = figure.subplots()
    fractions = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    axes.imshow(np.sqrt(fractions), cmap="Blues", vmin=0, vmax=1)    # the square root makes rare mistakes visible
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if few:
        name_cells(axes, confusion, fractions, names)
    write_png(path, figure)


def name_cells(axes: Any, confusion: np.ndarray, fractions: np.ndarray, names: Sequence[str]) -> None:
    """Write the names of the classes beside the matrix, and the numbers into its cells."""
    slant: dict[str, Any] = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    shown = [literal(shortened(name, LONGEST)) for name in names]
    axes.set_xticks(range(len(names)), shown, **slant)
    axes.set_yticks(range(len(names)), shown)
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if fractions[row, column] > 0.4 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
