"""Segments of an image, and the Rand error of a segmentation: which pixels belong together, whatever their numbers.

A membrane with a gap costs few pixels but merges two cells, and a stray line splits one. The Rand error counts that.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class RandError(NamedTuple):
    """`error` is 1 - F, where F is the harmonic mean of `split` and `merge`, each from 0 to 1; 1 is perfect.

    split   the probability that two pixels of one true segment are in one predicted segment
    merge   the probability that two pixels of one predicted segment are in one true segment
    """

    error: float
    split: float
    merge: float


def connected_components(mask: np.ndarray) -> np.ndarray:
    """Numbers for the segments of a mask: pixels that touch, above or beside one another, share one.

    bool (H, W)  ->  int64 (H, W), 0 where the mask is false, and from 1 on in the order of the first pixels
    """
    mask = np.asarray(mask, bool)
    if mask.ndim != 2:
        raise ValueError(f"connected_components: a mask must be (H, W), not {mask.shape}")
    number = np.arange(mask.size).reshape(mask.shape)
    beside, above = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    a = np.concatenate([number[:, :-1][beside], number[:-1][above]])
    b = np.concatenate([number[:, 1:][beside], number[1:][above]])
    root = np.arange(mask.size)                  # the smallest pixel known of the segment of each pixel
    while True:
        a, b = root[a], root[b]
        apart = a != b
        if not apart.any():
            break
        a, b = a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(higher := root[root], root):
            root = higher
    out = np.zeros(mask.shape, np.int64)
    out[mask] = np.unique(root[mask.ravel()], return_inverse=True)[1].ravel() + 1
    return out


def rand_error(truth: np.ndarray, predicted: np.ndarray) -> RandError:
    """The foreground-restricted Rand error of predicted segments, without thinning of borders.

    truth, predicted  numbers of segments, whole numbers (H, W); 0 is the border between them

    Only pixels within true segments count. Of these, each one that is predicted as border is a segment of its own.
    Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers
    in Neuroanatomy, 2015, equations 1 to 3 with alpha = 1/2; single pixels as in the script of SNEMI3D, 2013. The
    challenge ISBI-2012 takes the best F over thresholds of the predicted probability.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.dtype.kind not in "iu" or predicted.dtype.kind not in "iu":
        raise ValueError(f"rand_error: segments must be whole numbers of one shape, not {truth.dtype} {truth.shape} "
                         f"and {predicted.dtype} {predicted.shape}")
    inside = truth != 0
    true, found = truth[inside], predicted[inside]
    singles = int((found == 0).sum())
    pairs = np.stack([true, found])[:, found != 0]
    together = squares(pairs) + singles
    of_true, of_found = squares(true[None]), squares(pairs[1:]) + singles
    if of_true == 0:
        raise ValueError("rand_error: there are no true segments, only border")
    split, merge = together / of_true, together / of_found
    return RandError(1 - 2 * split * merge / (split + merge), split, merge)


def squares(columns: np.ndarray) -> int:
    """The sum of n**2 over all distinct columns of an array (k, N), each of which occurs n times."""
    counts = np.unique(columns, axis=1, return_counts=True)[1].astype(np.int64)
    return int(counts @ counts)


def rand_errors(masks: np.ndarray, probabilities: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
                ) -> dict[float, float]:
    """{threshold: the mean Rand error of all images} for masks and the probabilities of class 1, both (N, H, W).

    True segments are the connected parts of class 1, predicted ones those where the probability is above the threshold.
    """
    masks, probabilities = np.asarray(masks), np.asarray(probabilities)
    if masks.shape != probabilities.shape or masks.ndim != 3 or not len(masks):
        raise ValueError(f"rand_errors: masks {masks.shape} and probabilities {probabilities.shape} must be (N, H, W) "
                         "with N from 1 on")
    true = [connected_components(mask == 1) for mask in masks]
    return {float(threshold): float(np.mean([rand_error(segments, connected_components(p > threshold)).error
                                             for segments, p in zip(true, probabilities, strict=True)]))
            for threshold in thresholds}
