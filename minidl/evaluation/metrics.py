"""Metrics of a classifier, all computed from its confusion matrix.

confusion[t, p] counts the images of true class t with predicted class p; correct predictions are on the diagonal.
Everything here is NumPy and independent of models: `evaluation.py` fills the matrix.
"""

from collections.abc import Sequence

import numpy as np


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How often each true class (row) was predicted as each class (column).   labels, predictions (N,) -> int64 (C, C)

    Raises ValueError for a class outside 0 to `classes` - 1.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(f"confusion_matrix: labels {labels.shape} and predictions {predictions.shape} must be (N,)")
    for what, values in (("label", labels), ("prediction", predictions)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"confusion_matrix: a {what} is not one of the classes 0 to {classes - 1}")
    pairs = labels.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """The fraction of images classified correctly; 0 if there are none."""
    return float(confusion.trace() / max(1, confusion.sum()))


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three values per class, from 0 to 1.   (C, C)  ->  three float64 (C,)

    precision  the fraction of the images predicted as this class that belong to it
    recall     the fraction of the images of this class that were predicted as it
    F1         2 * precision * recall / (precision + recall), which is near 1 only if both are
    A fraction of nothing is 0.
    """
    correct = confusion.diagonal()
    predicted, true = confusion.sum(0), confusion.sum(1)
    return fraction(correct, predicted), fraction(correct, true), fraction(2 * correct, predicted + true)


def fraction(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, and 0 where the denominator is 0."""
    return np.where(denominator == 0, 0.0, numerator / np.where(denominator == 0, 1, denominator))


def class_table(confusion: np.ndarray, names: Sequence[str]) -> str:
    """Precision, recall and F1 of each class in percent, and their unweighted means, as text."""
    columns = np.stack(precision_recall_f1(confusion)) * 100
    width = max(len("class"), *map(len, names))
    lines = [f"{'class':{width}}  precision   recall       F1   images"]
    for name, values, images in zip(names, columns.T, confusion.sum(1), strict=True):
        lines.append(f"{name:{width}}  " + table_row(values, images))
    return "\n".join([*lines, f"{'mean':{width}}  " + table_row(columns.mean(1), confusion.sum())])


def table_row(values: np.ndarray, images: int) -> str:
    """One line of `class_table`, without the name."""
    precision, recall, f1 = values
    return f"{precision:9.2f}{recall:9.2f}{f1:9.2f}{images:9,}"


def confusion_table(confusion: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix as text: a row for each true class, a column for each predicted class.

    Columns are headed by the names if these are short, else by class indices, which the rows then repeat.
    """
    indices = [str(i) for i in range(len(names))]
    if max(map(len, names)) > 3:
        names, heads = [f"{i:>2} {name}" for i, name in enumerate(names)], indices
    else:
        heads = list(names)
    left, cell = max(map(len, names)), 2 + max(len(str(confusion.max())), *map(len, heads))
    lines = [" " * left + "".join(f"{head:>{cell}}" for head in heads)]
    lines += [f"{name:{left}}" + "".join(f"{n:>{cell}}" for n in counts)
              for name, counts in zip(names, confusion.tolist(), strict=True)]
    return "\n".join(lines)
