"""The confusion matrix of the page: a table for few classes, dots for many, and the most frequent mistakes for all."""

from collections.abc import Sequence

import numpy as np

from minidl.evaluation.metrics import fraction
from minidl.report.html import Html, element, joined, number, table
from minidl.report.tables import most_confused

LARGEST_TABLE = 20                               # classes
DOTS = 3000                                      # mistakes that are drawn, the most frequent ones
SIDE = 600.0                                     # of the drawing with dots


def confusion(counts: np.ndarray, names: Sequence[str], counted: str) -> Html:
    """The matrix, and its most frequent mistakes."""
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    draw = as_table if len(names) <= LARGEST_TABLE else as_dots
    return joined([draw(counts, shares, names, counted), mistakes(counts, names, counted)])


def pair(t: int, p: int, counts: np.ndarray, shares: np.ndarray, names: Sequence[str], counted: str) -> str:
    """What the pointer shows."""
    what = f"{names[t]}, recognised" if t == p else f"{names[t]}, taken for {names[p]}"
    return f"{what}: {counts[t, p]:,} {counted}, {shares[t, p]:.1%} of the class"


def as_table(counts: np.ndarray, shares: np.ndarray, names: Sequence[str], counted: str) -> Html:
    """A cell for each pair, coloured by its share of the row; the root makes rare mistakes visible."""
    def cell(t: int, p: int) -> Html:
        if not counts[t, p]:
            return element("td", class_="none")
        heat = float(np.sqrt(shares[t, p]))
        kind = ("right" if t == p else "wrong") + (" hot" if heat > 0.8 else "")
        return element("td", f"{counts[t, p]:,}", class_=kind, style=f"--v:{heat:.2f}",
                       data_pair=pair(t, p, counts, shares, names, counted))
    heads = [element("th", element("span", name), scope="col", title=name) for name in names]
    rows = [element("tr", element("th", element("span", name), scope="row", title=name),
                    [cell(t, p) for p in range(len(names))]) for t, name in enumerate(names)]
    return element("div", element("table", element("caption", "Rows are true classes, columns are predicted classes."),
                                  element("thead", element("tr", element("td"), heads)), element("tbody", rows),
                                  class_="matrix" if max(map(len, names)) > 3 else "matrix level"), class_="scroll")


def as_dots(counts: np.ndarray, shares: np.ndarray, names: Sequence[str], counted: str) -> Html:
    """A dot for each pair, the darker the larger its share of the row; of mistakes, only the most frequent."""
    classes = len(names)
    cell = SIDE / classes
    size = max(cell, SIDE / 250)                 # a pointer must be able to hit it
    wrong, which = drawn_mistakes(counts)

    def dot(t: int, p: int) -> Html:
        text = pair(t, p, counts, shares, names, counted)
        return element("rect", element("title", text), class_="r" if t == p else None,
                       x=f"{(p + 0.5) * cell - size / 2:.4g}", y=f"{(t + 0.5) * cell - size / 2:.4g}",
                       fill_opacity=f"{max(0.2, shares[t, p]**0.5):.2g}")
    style = element("style", f".dots rect{{width:{size:.3g}px;height:{size:.3g}px}}")
    dots = [dot(t, p) for t, p in [*((t, t) for t in range(classes) if counts[t, t]), *wrong]]
    drawing = element("svg", style, dots, viewBox=f"0 0 {SIDE:g} {SIDE:g}", role="img",
                      aria_label=f"confusion matrix of {classes} classes", class_="dots")
    note = f"Rows are true classes from top to bottom, columns are predicted classes; there are {classes:,}{which}."
    return element("figure", element("figcaption", note), drawing, class_="square")


def drawn_mistakes(counts: np.ndarray) -> tuple[list[tuple[int, int]], str]:
    """The mistakes that are drawn, as pairs of classes, and which they are, in words.

    These are the mistakes made at least so many times that there are no more than DOTS. A cut among equally frequent
    ones would show a pattern that is not there; if all are equally frequent, an even choice of them is drawn.
    """
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    least = 1
    while np.count_nonzero(wrong >= least) > DOTS:
        least += 1
    words = f"; mistakes made {least} times or more are drawn" if least > 1 else ""
    if least > wrong.max():
        least, words = int(wrong.max()), "; some of the mistakes are drawn"
    pairs = np.argwhere(wrong >= max(1, least))
    step = -(-len(pairs) // DOTS) or 1
    return [(int(t), int(p)) for t, p in pairs[::step]], words if step > 1 or least > 1 else ""


def mistakes(counts: np.ndarray, names: Sequence[str], counted: str) -> Html:
    """The most frequent mistakes as a table."""
    share = fraction(counts, np.broadcast_to(counts.sum(1, keepdims=True), counts.shape))
    rows = [(names[t], names[p], number(count), number(share[t, p], ".1%")) for t, p, count in most_confused(counts)]
    if not rows:
        return element("p", "There are no mistakes.", class_="note")
    return element("details", element("summary", "The most frequent mistakes"),
                   table(("true class", "predicted class", counted, "of the class"), rows, "The most frequent mistakes",
                         "sortable"), open="" if len(names) > LARGEST_TABLE else None)
