"""Matplotlib figures that are written to files, without a display.

Matplotlib is imported with the first figure, since the import can take as long as an epoch of training. It draws into
memory, so that the file is replaced in one step.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from minidl.io import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawing(str):
    """The text of an SVG file, which shows itself in a notebook."""

    __slots__ = ()

    def save(self, path: str | Path) -> None:
        """Write the file; one of that name is replaced in one step."""
        with replacing(path) as file:
            file.write(self.encode())

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return str(self)


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of width x height inches; its title is shown as it is."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(literal(title))
    return figure


def literal(text: str) -> str:
    """`text` so that Matplotlib shows it as it is: a $ begins no formula, and what is no Unicode is escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")           # a box takes the character's place
        figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def write_png(path: str | Path, figure: Figure) -> None:
    """Write the figure as PNG; a file of that name is replaced in one step."""
    with replacing(path) as file:
        file.write(png(figure))
