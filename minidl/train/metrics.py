"""How good a classifier is, all of it read off one table: the confusion matrix.

confusion[t, p] counts the images of class t for which the model said p; the right answers lie on the diagonal.
Everything here is NumPy, and knows no model: `evaluation.py` fills the table.
"""

import numpy as np


def confusion_matrix(labels, predictions, classes):
    """How often each class (row) was taken for each class (column).   labels, predictions (N,)  ->  int64 (C, C)

    Raises ValueError for a class that is not one of 0 to `classes` - 1.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(f"confusion_matrix: labels {labels.shape} and predictions {predictions.shape} must be (N,)")
    for what, numbers in (("label", labels), ("prediction", predictions)):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
            raise ValueError(f"confusion_matrix: a {what} is not one of the classes 0 to {classes - 1}")
    pairs = labels.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion):
    """The part of all images that was told right; 0 if there are none."""
    return float(confusion.trace() / max(1, confusion.sum()))


def precision_recall_f1(confusion):
    """Three numbers per class, from 0 to 1.   (C, C)  ->  three float64 (C,)

    precision  of the images that were called this class, the part that is
    recall     of the images of this class, the part that was called so
    F1         2 * precision * recall / (precision + recall), which is near 1 only if both are
    Where there is nothing to divide by, 0.
    """
    right = confusion.diagonal()
    called, are = confusion.sum(0), confusion.sum(1)
    return part(right, called), part(right, are), part(2 * right, called + are)


def part(numerator, denominator):
    """numerator / denominator, and 0 where the denominator is 0."""
    return numerator / np.where(denominator == 0, 1, denominator) * (denominator != 0)


def class_table(confusion, names):
    """Precision, recall and F1 of each class, in percent, and their plain means, as text."""
    columns = np.stack(precision_recall_f1(confusion)) * 100
    width = max(len("class"), *map(len, names))
    lines = [f"{'class':{width}}  precision   recall       F1   images"]
    for name, numbers, images in zip(names, columns.T, confusion.sum(1), strict=True):
        lines.append(f"{name:{width}}  " + row(numbers, images))
    return "\n".join([*lines, f"{'mean':{width}}  " + row(columns.mean(1), confusion.sum())])


def row(numbers, images):
    """One line of `class_table`, without the name."""
    precision, recall, f1 = numbers
    return f"{precision:9.2f}{recall:9.2f}{f1:9.2f}{images:9,}"


def confusion_table(confusion, names):
    """The confusion matrix as text: a row for what an image is, a column for what it was taken for.

    Columns are numbered, and so are the rows, unless the names are as short as numbers.
    """
    numbers = [str(i) for i in range(len(names))]
    if max(map(len, names)) > 3:
        names, heads = [f"{i:>2} {name}" for i, name in enumerate(names)], numbers
    else:
        heads = names
    left, cell = max(map(len, names)), 2 + max(len(str(confusion.max())), *map(len, heads))
    lines = [" " * left + "".join(f"{head:>{cell}}" for head in heads)]
    lines += [f"{name:{left}}" + "".join(f"{n:>{cell}}" for n in counts)
              for name, counts in zip(names, confusion.tolist(), strict=True)]
    return "\n".join(lines)
