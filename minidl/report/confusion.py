"""The confusion matrix as a plot."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.plot.figure import literal, new_figure, write_png


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
