"""The numbers of a report as text."""

from collections.abc import Sequence

import numpy as np

from minidl.evaluation.metrics import fraction, mean_over_classes, precision_recall_f1
from minidl.text import columns, padded, shortened

MATRIX = 40                                      # no more classes are shown as a matrix
NAMED = 5                                        # of the classes that do not occur
LONGEST = 40                                     # columns of a name
PAIRS = 20                                       # the most frequent mistakes that are listed


def class_table(confusion: np.ndarray, names: Sequence[str], counted: str = "images") -> str:
    """Precision, recall and F1 of each class that occurs in percent, and their means, as text."""
    names = short(names)
    scores, (occur, missing) = np.stack(precision_recall_f1(confusion)) * 100, occurring(confusion, names)
    means = [mean_over_classes(values, confusion) for values in scores]
    counts = [f"{count:,}" for count in (*confusion.sum(1)[occur], confusion.sum())]
    names, scores = [*(names[c] for c in occur), "mean"], scores[:, occur]
    width, last = max(map(columns, ("class", *names))), max(9, 2 + max(map(len, counts)))
    lines = [f"{'class':{width}}  precision   recall       F1{counted:>{last}}"]
    for name, values, count in zip(names, [*scores.T, means], counts, strict=True):
        lines.append(f"{padded(name, width)}  " + "".join(f"{value:9.2f}" for value in values) + f"{count:>{last}}")
    return "\n".join([*lines, missing] if missing else lines)


def short(names: Sequence[str]) -> list[str]:
    """Names that fit into a table."""
    return [shortened(name, LONGEST) for name in names]


def occurring(confusion: np.ndarray, names: Sequence[str]) -> tuple[list[int], str]:
    """The classes that are true or predicted somewhere, and a sentence about the others; empty if there are none."""
    occur = confusion.sum(0) + confusion.sum(1) > 0
    others = [names[c] for c in np.flatnonzero(~occur).tolist()]
    shown = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED:,} more" if len(others) > NAMED else "")
    return np.flatnonzero(occur).tolist(), f"neither there nor predicted: {shown}" if others else ""


def confusion_table(confusion: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix as text: a row for each true class, a column for each predicted class.

    Columns are headed by the names if these are short, else by class indices, which the rows then repeat.
    """
    names = short(names)
    indices = [str(i) for i in range(len(names))]
    if max(map(columns, names)) > 3:
        names, heads = [f"{i:>2} {name}" for i, name in enumerate(names)], indices
    else:
        heads = list(names)
    left, cell = max(map(columns, names)), 2 + max(len(str(confusion.max())), *map(len, heads))
    lines = [" " * left + "".join(f"{head:>{cell}}" for head in heads)]
    lines += [padded(name, left) + "".join(f"{n:>{cell}}" for n in counts)
              for name, counts in zip(names, confusion.tolist(), strict=True)]
    return "\n".join(lines)


def most_confused(confusion: np.ndarray, limit: int = PAIRS) -> list[tuple[int, int, int]]:
    """[(true class, predicted class, count)] of the most frequent mistakes, the most frequent first."""
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    pairs = zip(*np.unravel_index(order, confusion.shape), strict=True)
    return [(int(t), int(p), int(mistakes[t, p])) for t, p in pairs if mistakes[t, p]]


def mistakes_table(confusion: np.ndarray, names: Sequence[str]) -> str:
    """The most frequent mistakes as text, with their share of the images of the true class in percent."""
    share = fraction(confusion, confusion.sum(1, keepdims=True) + 0 * confusion) * 100
    names = short(names)
    lines = [f"{count:9,}{share[t, p]:8.2f} %   {names[t]} -> {names[p]}" for t, p, count in most_confused(confusion)]
    return "\n".join(["    times  of class   true -> predicted", *lines]) if lines else "there are no mistakes"
