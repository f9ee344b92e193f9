"""The plots of the page: learning curves, calibration and the distribution of classes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.report.axes import Axis, Plot, linear, logarithmic
from minidl.report.html import Html, element
from minidl.report.log import Row

POINTS = 100                                     # with more epochs, the lines have no points
percent = "{:.0%}".format


def curves(rows: Sequence[Row], best: int | None) -> Html:
    """Loss, accuracy and learning rate over the epochs, side by side; of masks IoU and Dice too."""
    legend = element("p", element("span", "training", class_="key train"),
                     element("span", "validation", class_="key validation") if measured(rows, "validation_loss")
                     else None, element("span", "best epoch", class_="key best") if best else None, class_="legend")
    return joined_plots(legend, [
        over_epochs(rows, "loss", ("train_loss", "validation_loss"), best, "{:.4g}".format),
        over_epochs(rows, "accuracy", ("train_accuracy", "validation_accuracy"), best, "{:.2%}".format),
        over_epochs(rows, "mean IoU", ("validation_iou",), best, "{:.2%}".format),
        over_epochs(rows, "mean Dice", ("validation_dice",), best, "{:.2%}".format),
        over_epochs(rows, "learning rate", ("lr",), None, "{:.3g}".format)])


def joined_plots(legend: Html, plots: Sequence[Html | None]) -> Html:
    """Plots side by side, or one below the other on a narrow screen, below a legend."""
    return element("div", legend, element("div", list(plots), class_="plots"))


def measured(rows: Sequence[Row], column: str) -> bool:
    """Whether a column of the log holds numbers."""
    return any(isinstance(row.get(column), int | float) for row in rows)


def over_epochs(rows: Sequence[Row], title: str, columns: Sequence[str], best: int | None,
                form: Callable[[float], str]) -> Html | None:
    """A plot of some columns of the log; None if they hold no numbers."""
    columns = [column for column in columns if measured(rows, column)]
    values = [row[column] for row in rows for column in columns if finite(row.get(column))]
    if not values:
        return None
    epochs = [row["epoch"] for row in rows]
    y = vertical_axis(title, min(values), max(values))
    plot = Plot(title, linear(min(epochs), max(epochs), "{:g}".format, 1), y, "epoch")
    if best:
        plot.vertical(best, "best")
    for column in columns:
        kind = column.partition("_")[0]
        plot.line(epochs, [row.get(column) for row in rows], kind)
        for row in rows if len(rows) <= POINTS else ():
            if finite(row.get(column)) and (row[column] > 0 or not y.log):
                plot.point(row["epoch"], row[column], kind, f"epoch {row['epoch']}: {form(row[column])}")
    last = "; ".join(f"{column.replace('_', ' ')} {form(rows[-1][column])}" for column in columns
                     if finite(rows[-1].get(column)))
    return plot.figure(title, f"{len(rows)} epochs; at the end {last}")


def finite(value: Any) -> bool:
    """Whether a value is a number, and not NaN or infinity."""
    return isinstance(value, int | float) and math.isfinite(value)


def vertical_axis(title: str, low: float, high: float) -> Axis:
    """The axis of a curve: of losses logarithmic, of metrics in percent."""
    if title == "loss" and low > 0:
        return logarithmic(low, high)
    if title != "learning rate" and title != "loss":
        margin = 0.04 * (high - low)
        return linear(max(0.0, low - margin), min(1.0, high + margin), percent_of(high - low))
    return linear(min(0.0, low), high, "{:.3g}".format)


def percent_of(span: float) -> Callable[[float], str]:
    """How percentages are written whose largest and smallest differ by `span`."""
    return ("{:.0%}" if span >= 0.05 else "{:.1%}" if span >= 0.005 else "{:.2%}").format


def reliability(diagram: np.ndarray, counted: str) -> Html:
    """Accuracy over confidence, and how many predictions have which confidence, side by side."""
    bins = diagram.shape[1]
    unit, shares = linear(0, 1, percent), diagram[0] / max(1.0, diagram[0].sum())
    accuracy = Plot("calibration", unit, unit, "confidence")
    spread = Plot("confidences", unit, linear(0, max(float(shares.max()), 0.01), percent_of(float(shares.max()))),
                  "confidence")
    for b, (count, confidence, correct) in enumerate(diagram.T):
        if not count:
            continue
        left, right = b / bins, (b + 1) / bins
        sure, right_share = confidence / count, correct / count
        text = (f"confidence {left:.0%} to {right:.0%}: {count:,.0f} {counted}, mean confidence {sure:.1%}, accuracy "
                f"{right_share:.1%}")
        accuracy.bar(left, right, 0, right_share, "bar", text)
        low, high = sorted((sure, right_share))
        accuracy.bar(left, right, low, high, "gap", text)
        spread.bar(left, right, 0, shares[b], "bar", text)
    accuracy.line([0, 1], [0, 1], "ideal")
    return joined_plots(
        element("p", element("span", "accuracy", class_="key bar"), element("span", "gap to the confidence",
                class_="key gap"), element("span", "perfectly calibrated", class_="key ideal"), class_="legend"),
        [accuracy.figure("accuracy of predictions by their confidence", f"in {bins} bins of confidence"),
         spread.figure(f"share of {counted} by confidence", f"in {bins} bins of confidence")])


def columns(counts: np.ndarray, names: Sequence[str], title: str, counted: str) -> Html:
    """The numbers of many classes as columns, in the order of the classes."""
    y = linear(0, max(1, int(counts.max())), "{:,g}".format, 1)
    plot = Plot(title, linear(0, len(counts), "{:g}".format, 1), y, "class")
    for i, count in enumerate(counts.tolist()):
        plot.bar(i, i + 1, 0, count, "bar", f"{names[i]}: {count:,} {counted}")
    return plot.figure(title, f"from {counts.min():,} to {counts.max():,} {counted} in a class")
