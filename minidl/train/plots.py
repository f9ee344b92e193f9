"""Pictures of a run: how it learned, and what it mistakes for what.

Matplotlib is imported when the first picture is drawn (see `plot/figure.py`).
"""

import numpy as np

from minidl.plot.figure import new_figure, write_png

TRAIN, VALIDATION, RATE = "#c1440e", "#1f5fa8", "#7a7a7a"


def draw_curves(path, rows, best, title=""):
    """Loss, accuracy and learning rate over the epochs, as PNG. `rows` as in `log.py`; `best` is an epoch's number."""
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
    for axes, name in ((losses, "loss"), (accuracies, "accuracy (%)"), (rates, "learning rate at the epoch's end")):
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    losses.legend(frameon=False)
    write_png(path, figure)


def draw_confusion(path, confusion, names, title=""):
    """The confusion matrix as PNG: each row's colours are parts of that class, the numbers are counts."""
    size = max(4.0, 0.55 * len(names) + 1.5)
    figure = new_figure(size, size, title)
    axes = figure.subplots()
    parts = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    axes.imshow(np.sqrt(parts), cmap="Blues", vmin=0, vmax=1)      # the root brings out the few mistakes
    slant = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    axes.set_xticks(range(len(names)), names, **slant)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if parts[row, column] > 0.4 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    write_png(path, figure)
