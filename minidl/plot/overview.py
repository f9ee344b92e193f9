"""A data set on one page: the classes as bars and as a pie, the sizes, the brightness, and samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.plot.figure import literal, new_figure
from minidl.plot.pictures import Picture
from minidl.plot.samples import Sample, draw_samples, rows_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = {"train": "#1f5fa8", "validation": "#e0a526", "test": "#c1440e", "": "#1f5fa8"}
SLICES = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
CHANNELS = ("#c23b22", "#2e8b57", "#1f5fa8")
MOST_BARS, MOST_SLICES, MOST_LETTERS = 40, 10, 24
FEWEST_BARS = 4                                  # for which there is room
WIDTH = 11.0                                     # inches


def data_overview(title: str, classes: Sequence[str], counts: Mapping[str, Sequence[int]], counted: str,
                  sizes: Sequence[tuple[int, int]], histogram: np.ndarray, samples: Sequence[Sample],
                  colours: Sequence[Any] = ()) -> Picture:
    """A Picture of a data set, whose values are `counts` as an array (parts, classes).

    counts     for each part ("train", "validation", "test", or "" for a set without parts) one number for each class
    counted    what they count: "images" or "pixels"
    sizes      (width, height) of each image
    histogram  how often each brightness occurs, (C, 256)
    samples    of classes: rows of pictures with names
    colours    of the classes in the pie, if the samples show them
    """
    table = np.array([list(counts[part]) for part in counts], np.int64).reshape(len(counts), len(classes))
    upper = 2.2 + 0.21 * len(classes) if len(classes) <= MOST_BARS else 4.2
    heights = [max(3.4, upper), 2.6, 0.2 + rows_of(samples)]
    figure = new_figure(WIDTH, sum(heights) + 0.5, title)
    grid = figure.add_gridspec(3, 2, height_ratios=heights, width_ratios=[3, 2])
    draw_bars(figure.add_subplot(grid[0, 0]), classes, dict(zip(counts, table, strict=True)), counted)
    draw_pie(figure.add_subplot(grid[0, 1]), classes, table.sum(0), colours)
    if len(set(sizes)) == 1:
        width, height = sizes[0]
        draw_brightness(figure.add_subplot(grid[1, :]), histogram, f" (all images have {width:,} x {height:,} pixels)")
    else:
        draw_sizes(figure.add_subplot(grid[1, 0]), sizes)
        draw_brightness(figure.add_subplot(grid[1, 1]), histogram)
    draw_samples(figure.add_subplot(grid[2, :]), samples)
    return Picture(table, figure)


def short(name: str) -> str:
    """A name that fits beside a plot."""
    return literal(name if len(name) <= MOST_LETTERS else name[:MOST_LETTERS - 1] + "…")


def draw_bars(axes: Axes, classes: Sequence[str], counts: Mapping[str, np.ndarray], counted: str) -> None:
    """A bar for each class, divided by parts; for very many classes, their counts from large to small."""
    total = np.sum([*counts.values()], axis=0)
    many = len(classes) > MOST_BARS
    order = np.argsort(-total, kind="stable") if many else np.arange(len(classes))
    below = np.zeros(len(classes))
    for part, own in counts.items():
        settings: dict[str, Any] = {"color": PARTS.get(part, "#777777"), "label": part}
        if many:
            axes.fill_between(np.arange(len(classes) + 1), np.append(below, below[-1:]),
                              np.append(below + own[order], (below + own[order])[-1:]), step="post", linewidth=0,
                              **settings)
        else:
            axes.barh(order, own, left=below, height=0.75, **settings)
        below = below + own[order]
    if many:
        axes.set_xlabel(f"{len(classes):,} classes, from large to small")
        axes.set_ylabel(counted)
        axes.set_xlim(0, len(classes))
        axes.set_ylim(0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params("y", integer=True)
    else:
        axes.set_yticks(order, [short(name) for name in classes], fontsize=9)
        axes.set_ylim(max(len(classes), FEWEST_BARS) - 0.4, -0.6)
        axes.set_xlabel(counted)
        for row, value in enumerate(total):
            axes.text(value, row, f" {value:,}", va="center", fontsize=8)
        axes.set_xlim(0, 1.18 * max(1, total.max(initial=1)))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params("x", integer=True, nbins=5)
    axes.get_yaxis().set_tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(False)
    if len(counts) > 1:
        axes.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)


def draw_pie(axes: Axes, classes: Sequence[str], total: np.ndarray, colours: Sequence[Any] = ()) -> None:
    """The share of each class; of many classes, that of the largest ones and of all others together."""
    axes.set_axis_off()
    if not total.sum():
        return
    order = np.argsort(-total, kind="stable")[:np.count_nonzero(total)]
    kept = order if len(order) <= MOST_SLICES else order[:MOST_SLICES - 1]
    rest = total.sum() - total[kept].sum()
    values, names = [*total[kept].tolist()], [short(classes[i]) for i in kept]
    if len(kept) < len(order):
        values, names = [*values, int(rest)], [*names, f"{len(order) - len(kept):,} others"]
    labels = [f"{name}  {100 * value / total.sum():.1f} %" for name, value in zip(names, values, strict=True)]
    palette = colours or SLICES
    chosen = [palette[i % len(palette)] for i in (kept if colours else range(len(kept)))]
    wedges = axes.pie(values, startangle=90, counterclock=False, colors=[*chosen, "#bbbbbb"][:len(values)],
                      wedgeprops={"linewidth": 0.6 if len(values) > 1 else 0, "edgecolor": "white"})[0]
    axes.legend(wedges, labels, loc="upper center", bbox_to_anchor=(0.5, 0.02), frameon=False, fontsize=8,
                ncols=1 if len(labels) < 4 else 2)


def draw_sizes(axes: Axes, sizes: Sequence[tuple[int, int]]) -> None:
    """How often each width and each height occurs."""
    array = np.array(sizes).reshape(-1, 2)
    axes.set_title("sizes", fontsize=10)
    edges = np.histogram_bin_edges(array, bins=min(40, max(5, len(np.unique(array)))))
    for column, (name, colour) in enumerate((("width", "#1f5fa8"), ("height", "#c1440e"))):
        axes.hist(array[:, column], edges.tolist(), histtype="stepfilled", alpha=0.5, color=colour, label=name)
    axes.set_xlabel("pixels")
    axes.set_ylabel("images")
    axes.locator_params("both", integer=True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def draw_brightness(axes: Axes, histogram: np.ndarray, remark: str = "") -> None:
    """How often each brightness occurs in each channel."""
    axes.set_title(f"brightness of the pixels{remark}", fontsize=10)
    colours = ("#444444",) if len(histogram) == 1 else CHANNELS
    for row, colour in zip(histogram, colours, strict=True):
        axes.plot(np.linspace(0, 1, 256), row / max(1, row.sum()), color=colour, linewidth=1.2)
    top = np.partition((histogram / np.maximum(1, histogram.sum(1, keepdims=True))).ravel(), -9)[-9]
    axes.set_ylim(0, max(float(top) * 1.15, 1e-6))           # peaks at black and white leave the rest visible
    axes.set_xlim(0, 1)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
