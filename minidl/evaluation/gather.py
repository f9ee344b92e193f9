"""What `evaluate` keeps of the logits of each batch: sums, and a few numbers for each image.

All logits of 50,000 images and 1,000 classes would be 200 MB, and those of masks much more.
"""

from typing import Any, NamedTuple

import numpy as np

from minidl.evaluation.metrics import BINS, accuracy, calibration, confusion_matrix, dice, mean_over_classes


class Images(NamedTuple):
    """The results of each image, in the order of the set: arrays (N,).

    labels, predictions  the true and the predicted class, int64
    confidences          the probability of the predicted class
    likelihoods          the probability of the true class
    ranks                how many classes are more probable than the true one, int64
    margins              for two classes, the logit of class 1 minus that of class 0; else None
    """

    labels: np.ndarray
    predictions: np.ndarray
    confidences: np.ndarray
    likelihoods: np.ndarray
    ranks: np.ndarray
    margins: np.ndarray | None


class Masks(NamedTuple):
    """The results of each image with a mask, in the order of the set: float64 (N,).

    accuracies  the fraction of its pixels that are classified correctly
    dice        the mean Dice of the classes that are true or predicted in it
    """

    accuracies: np.ndarray
    dice: np.ndarray


class Gathered:
    """Sums over the batches that were added, and the results of each image.

    confusion  int64 (C, C), see `metrics.py`
    diagram    the reliability diagram, float64 (3, BINS)
    images     how many were added
    """

    def __init__(self, classes: int, ignore_index: int = -100) -> None:
        self.classes, self.ignore_index = classes, ignore_index
        self.confusion = np.zeros((classes, classes), np.int64)
        self.diagram = np.zeros((3, BINS))
        self.images, self.of_pixels = 0, False
        self.log_loss = self.brier = 0.0
        self.parts: list[Images | Masks] = []

    def add(self, labels: np.ndarray, logits: np.ndarray) -> None:
        """One batch: labels (n,) and logits (n, C), or masks (n, H, W) and logits (n, C, H, W); C is 1 or `classes`."""
        if logits.shape[1:2] == (1,) and self.classes > 1:
            logits = np.concatenate([np.zeros_like(logits), logits], 1)
        if logits.ndim < 2 or labels.shape != logits.shape[:1] + logits.shape[2:]:
            raise ValueError(f"evaluate: logits {logits.shape} do not match labels {labels.shape}; they must be (n, C) "
                             "and (n,), or (n, C, H, W) and (n, H, W)")
        self.images += len(labels)
        self.of_pixels = labels.ndim > 1
        if self.of_pixels:
            self.add_masks(labels, logits)
        else:
            self.confusion += confusion_matrix(labels, logits.argmax(1), self.classes)
            self.parts.append(self.add_rows(labels, logits))

    def add_masks(self, labels: np.ndarray, logits: np.ndarray) -> None:
        """Masks, image by image: each pixel that is not ignored is a row."""
        found = []
        for mask, scores in zip(labels, logits, strict=True):
            counted = mask != self.ignore_index
            mask, rows = mask[counted], np.ascontiguousarray(scores[:, counted].T)
            confusion = confusion_matrix(mask, rows.argmax(1), self.classes)
            self.confusion += confusion
            self.add_rows(mask, rows)
            found.append((accuracy(confusion), mean_over_classes(dice(confusion), confusion)))
        self.parts.append(Masks(*np.array(found, np.float64).reshape(-1, 2).T))

    def add_rows(self, labels: np.ndarray, logits: np.ndarray) -> Images:
        """Add the probabilities of rows of logits (n, C) to the sums; returns the results of each row."""
        if logits.shape[1] != self.classes:
            raise ValueError(f"evaluate: the model has {logits.shape[1]} classes, and the labels have {self.classes}")
        rows = np.arange(len(labels))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):          # of a model that has diverged
            below = logits - logits.max(1, keepdims=True)
            probabilities = np.exp(below)
            sums = probabilities.sum(1)
            self.log_loss += float((np.log(sums) - below[rows, labels]).sum(dtype=np.float64))
            probabilities /= sums[:, None]
            true, predictions = probabilities[rows, labels], logits.argmax(1)
            squares = np.einsum("nc,nc->n", probabilities, probabilities)
            self.brier += float((squares - 2 * true + 1).sum(dtype=np.float64))
            confidences = probabilities[rows, predictions]
            self.diagram += calibration(confidences, predictions == labels)
            if self.of_pixels:
                return Images(labels, predictions, confidences, true, labels, None)
            margins = np.subtract(logits[:, 1], logits[:, 0], dtype=np.float64) if self.classes == 2 else None
        return Images(labels, predictions, confidences, true, ranks(labels, logits), margins)

    def means(self) -> tuple[float, float]:
        """(log loss, Brier score)"""
        count = int(self.confusion.sum())
        return self.log_loss / count, self.brier / count

    def each(self) -> Images | Masks:
        """The results of all images."""
        columns: list[Any] = [None if column[0] is None else np.concatenate(column)
                              for column in zip(*self.parts, strict=True)]
        return type(self.parts[0])(*columns)


def ranks(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """How many classes come before the true one: those of higher logits, and of equal ones the first, as in argmax."""
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
    return ((logits > own) | earlier).sum(1)
