"""Plots as SVG within the page: their colours follow its light or dark mode, and a pointer shows the numbers."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minidl.report.html import Html, element

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 340, 12, 196      # the edges of the plotted rectangle
TICKS = 5                                        # of an axis, about


class Axis(NamedTuple):
    """A range of values with the places of its grid lines, and how these are written."""

    low: float
    high: float
    ticks: Sequence[float]
    form: Callable[[float], str]
    log: bool = False

    def part(self, value: float) -> float:
        """Where a value lies in the range: 0 at the lower end, 1 at the upper end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(low: float, high: float, form: Callable[[float], str] = "{:g}".format, least: float = 0.0) -> Axis:
    """An axis with ticks at multiples of 1, 2 or 5 times a power of ten, of `least` at least; it ends as the values."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** math.floor(math.log10((high - low) / TICKS))
    step = max(least, next((power * m for m in (1, 2, 5) if (high - low) / (power * m) <= TICKS), power * 10))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return Axis(low, high, [round(i * step, 12) for i in range(first, last + 1)], form)


def logarithmic(low: float, high: float) -> Axis:
    """An axis with a tick for each power of ten, or for 1, 2 and 5 times it; as a linear axis has, if these are few."""
    if not high > low * 1.05:
        low, high = low / 1.5, high * 1.5
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    choices = [[m * 10.0**p for p in powers for m in factors if low <= m * 10.0**p <= high]
               for factors in ((1,), (1, 2, 5))]
    ticks = next((choice for choice in choices if len(choice) >= 3), linear(low, high).ticks)
    return Axis(low, high, ticks, "{:g}".format, True)


class Plot:
    """A rectangle with a grid, to which lines, bars and points are added."""

    def __init__(self, title: str, x: Axis, y: Axis, x_label: str) -> None:
        self.title, self.x, self.y = title, x, y
        self.parts: list[Html] = [self.horizontal(tick) for tick in y.ticks]
        self.parts += [element("text", x.form(tick), x=f"{self.across(tick):.1f}", y=BOTTOM + 15, class_="tick middle")
                       for tick in x.ticks]
        self.parts.append(element("text", x_label, x=(LEFT + RIGHT) / 2, y=HEIGHT - 4, class_="tick middle"))

    def across(self, value: float) -> float:
        """The horizontal position of a value."""
        return LEFT + (RIGHT - LEFT) * self.x.part(value)

    def up(self, value: float) -> float:
        """The vertical position of a value."""
        return BOTTOM - (BOTTOM - TOP) * self.y.part(value)

    def horizontal(self, tick: float) -> Html:
        """A grid line with its number."""
        y = f"{self.up(tick):.1f}"
        return element("g", element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"),
                       element("text", self.y.form(tick), x=LEFT - 6, y=y, class_="tick end", dy="0.32em"))

    def line(self, xs: Sequence[float], ys: Sequence[float | None], class_: str) -> None:
        """A line through the points; it is interrupted where a value is missing."""
        path, pen = [], "M"
        for x, y in zip(xs, ys, strict=True):
            if y is None or not math.isfinite(y) or (self.y.log and y <= 0):
                pen = "M"
                continue
            path.append(f"{pen}{self.across(x):.1f} {self.up(y):.1f}")
            pen = "L"
        self.parts.append(element("path", d=" ".join(path), class_=f"line {class_}"))

    def point(self, x: float, y: float, class_: str, text: str) -> None:
        """A point that shows a text under the pointer."""
        self.parts.append(element("circle", element("title", text), cx=f"{self.across(x):.1f}", cy=f"{self.up(y):.1f}",
                                  r=3, class_=class_))

    def bar(self, left: float, right: float, low: float, high: float, class_: str, text: str | None = None) -> None:
        """A rectangle from (left, low) to (right, high)."""
        x, y = self.across(left), self.up(high)
        self.parts.append(element("rect", element("title", text) if text else None, x=f"{x:.1f}", y=f"{y:.1f}",
                                  width=f"{self.across(right) - x:.1f}", height=f"{self.up(low) - y:.1f}",
                                  class_=class_))

    def vertical(self, x: float, class_: str) -> None:
        """A line from the bottom to the top."""
        at = f"{self.across(x):.1f}"
        self.parts.append(element("line", x1=at, x2=at, y1=TOP, y2=BOTTOM, class_=class_))

    def figure(self, caption: Any, description: str) -> Html:
        """The finished plot with its caption; the description is read to those who cannot see it."""
        return element("figure", element("figcaption", caption),
                       element("svg", self.parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
                               aria_label=f"{self.title}: {description}"))
