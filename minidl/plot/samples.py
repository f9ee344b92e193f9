"""Samples of classes as one sheet: a row for each class, or a tile for each if there are many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minidl.plot.figure import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE, GAP = 96, 8                                # of a tile, and between two, in pixels
PER_ROW, MOST_ROWS = 8, 20                       # with a row for each class
ACROSS = 10                                      # with a tile for each class
LETTERS = 14


class Sample(NamedTuple):
    """A class, and pictures of it, bytes (H, W, 3), of at most SIDE pixels in each direction."""

    name: str
    pictures: Sequence[np.ndarray]


def per_class(classes: int) -> int:
    """How many pictures of each class a sheet shows."""
    return PER_ROW if classes <= MOST_ROWS else 1


def rows_of(samples: Sequence[Sample]) -> float:
    """The height of the sheet in inches, which is 11 inches wide."""
    if len(samples) <= MOST_ROWS:
        return 1.1 * max(1, len(samples))
    return 1.15 * math.ceil(len(samples) / ACROSS)


def draw_samples(axes: Axes, samples: Sequence[Sample]) -> None:
    """Draw the sheet."""
    axes.set_axis_off()
    in_rows = len(samples) <= MOST_ROWS
    across, below = (PER_ROW, GAP) if in_rows else (ACROSS, 3 * GAP)
    down = len(samples) if in_rows else math.ceil(len(samples) / ACROSS)
    sheet = np.full((max(1, down) * (SIDE + below), across * (SIDE + GAP), 3), 255, np.uint8)
    for i, sample in enumerate(samples):
        for j, picture in enumerate(sample.pictures[:PER_ROW if in_rows else 1]):
            row, column = (i, j) if in_rows else divmod(i, ACROSS)
            top, left = row * (SIDE + below), column * (SIDE + GAP)
            place(sheet[top:top + SIDE, left:left + SIDE], picture)
        if in_rows:
            axes.text(-GAP, i * (SIDE + below) + SIDE / 2, clipped(sample.name), ha="right", va="center", fontsize=9)
        else:
            row, column = divmod(i, ACROSS)
            axes.text(column * (SIDE + GAP) + SIDE / 2, row * (SIDE + below) + SIDE + 2, clipped(sample.name),
                      ha="center", va="top", fontsize=7)
    axes.imshow(sheet, interpolation="nearest")


def clipped(name: str) -> str:
    """A name that fits beside or below a tile."""
    return literal(name if len(name) <= LETTERS else name[:LETTERS - 1] + "…")


def place(tile: np.ndarray, picture: np.ndarray) -> None:
    """Put a picture into the middle of a tile; a small one is enlarged by a whole number."""
    times = max(1, min(SIDE // picture.shape[0], SIDE // picture.shape[1]))
    picture = picture.repeat(times, 0).repeat(times, 1)[:SIDE, :SIDE]
    top, left = (SIDE - picture.shape[0]) // 2, (SIDE - picture.shape[1]) // 2
    tile[top:top + picture.shape[0], left:left + picture.shape[1]] = picture
