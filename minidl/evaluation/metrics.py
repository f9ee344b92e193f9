"""Metrics of a classifier, of images or of pixels, as NumPy functions that know nothing of models.

Most come from the confusion matrix: confusion[t, p] counts the images (or pixels) of true class t with predicted class
p, so that correct predictions are on the diagonal. "A fraction of nothing is 0" holds for all of them. Means over the
classes leave out those that are neither true nor predicted anywhere, as scikit-learn does.
"""

import math

import numpy as np

BINS = 15                                        # of confidence, as in Guo et al.


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How often each true class (row) was predicted as each class (column).   labels, predictions (N,) -> int64 (C, C)

    Raises ValueError for anything but whole numbers from 0 to `classes` - 1.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(f"confusion_matrix: labels {labels.shape} and predictions {predictions.shape} must be (N,)")
    for what, values in (("label", labels), ("prediction", predictions)):
        if values.size and values.dtype.kind not in "iub":
            raise ValueError(f"confusion_matrix: {what}s must be whole numbers, not {values.dtype}")
        wrong = values[(values < 0) | (values >= classes)]
        if wrong.size:
            raise ValueError(f"confusion_matrix: the {what} {wrong[0]} is none of the {classes} classes, which are "
                             "numbered from 0 on")
    pairs = labels.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def square(confusion: np.ndarray) -> np.ndarray:
    """A confusion matrix as an array; ValueError if it is not (C, C)."""
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or len(confusion) != confusion.shape[1]:
        raise ValueError(f"a confusion matrix must be (C, C), not {confusion.shape}")
    return confusion


def accuracy(confusion: np.ndarray) -> float:
    """The fraction of images classified correctly; 0 if there are none."""
    confusion = square(confusion)
    return float(confusion.trace() / max(1, confusion.sum()))


def balanced_accuracy(confusion: np.ndarray) -> float:
    """The mean recall of the classes that have images: accuracy if each class had equally many."""
    true = square(confusion).sum(1)
    return float(precision_recall_f1(confusion)[1][true > 0].mean()) if true.any() else 0.0


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three values per class, from 0 to 1.   (C, C)  ->  three float64 (C,)

    precision  the fraction of the images predicted as this class that belong to it
    recall     the fraction of the images of this class that were predicted as it
    F1         2 * precision * recall / (precision + recall), which is near 1 only if both are
    A fraction of nothing is 0.
    """
    confusion = square(confusion)
    correct, predicted, true = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    return fraction(correct, predicted), fraction(correct, true), fraction(2 * correct, predicted + true)


def iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of the true and the predicted pixels of each class.   (C, C)  ->  float64 (C,)

    TP / (TP + FP + FN), the index of Jaccard, 1901.
    """
    confusion = square(confusion)
    correct = confusion.diagonal()
    return fraction(correct, confusion.sum(0) + confusion.sum(1) - correct)


def dice(confusion: np.ndarray) -> np.ndarray:
    """2 * TP / (2 * TP + FP + FN) of each class, which is its F1.   (C, C)  ->  float64 (C,)   Dice, 1945."""
    return precision_recall_f1(confusion)[2]


def mean_over_classes(values: np.ndarray, confusion: np.ndarray) -> float:
    """The unweighted mean of (C,) values over the classes that are true or predicted somewhere; 0 without any."""
    occur = confusion.sum(0) + confusion.sum(1) > 0
    return float(values[occur].mean()) if occur.any() else 0.0


def top_k(ranks: np.ndarray, k: int) -> float:
    """The fraction of images whose true class is among the k most probable.   ranks (N,): 0 for the most probable"""
    ranks = np.asarray(ranks)
    return float((ranks < k).mean()) if len(ranks) else 0.0


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve: the probability that an image of class 1 has a higher score than one of class 0.

    labels (N,) of 0 and 1, scores (N,); equal scores count half. NaN without images of both classes, or if a score is
    NaN. Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 1982.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(f"roc_auc: labels {labels.shape} and scores {scores.shape} must be (N,)")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"roc_auc: labels must be 0 or 1, and there is {labels[~np.isin(labels, (0, 1))][0]}")
    positive = labels == 1
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others or np.isnan(scores).any():
        return math.nan
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]              # from 1; equal scores share their mean rank
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def calibration(confidences: np.ndarray, correct: np.ndarray, bins: int = BINS) -> np.ndarray:
    """A reliability diagram: for each bin of confidence ((b - 1) / bins, b / bins], float64 (3, bins).

    Its rows are the number of predictions, the sum of their confidences, and the number of correct ones. `confidences`
    (N,) are the probabilities of the predicted classes, `correct` (N,) is bool. Diagrams of parts of a set add up.
    """
    confidences, correct = np.nan_to_num(np.asarray(confidences, np.float64)), np.asarray(correct)
    if confidences.shape != correct.shape or confidences.ndim != 1:
        raise ValueError(f"calibration: confidences {confidences.shape} and correct {correct.shape} must be (N,)")
    place = np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)
    weights = (None, confidences, correct.astype(np.float64))
    return np.stack([np.bincount(place, weight, bins).astype(np.float64) for weight in weights])


def expected_calibration_error(diagram: np.ndarray) -> float:
    """The mean of |accuracy - confidence| over the bins of `calibration`, weighted by their predictions.

    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3, with 15 bins.
    """
    count, confidence, correct = diagram
    return float(np.abs(correct - confidence).sum() / max(1.0, count.sum()))


def fraction(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, and 0 where the denominator is 0."""
    return np.where(denominator == 0, 0.0, numerator / np.where(denominator == 0, 1, denominator))
