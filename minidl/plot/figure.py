"""Figures for no screen.

Matplotlib is imported when the first one is made, since that takes as long as training an epoch. It draws into memory,
and the picture then goes into its file in one go.
"""

import io

from minidl.io import replacing


def new_figure(width, height, title):
    """An empty figure of so many inches, for no screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title)
    return figure


def write_png(path, figure):
    """Write the picture in one go, as every file of a run."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    with replacing(path) as file:
        file.write(picture.getvalue())
