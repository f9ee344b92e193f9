"""Metrics against results computed by hand, and against their definitions counted image by image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.evaluation.metrics import (
    BINS,
    accuracy,
    balanced_accuracy,
    calibration,
    confusion_matrix,
    dice,
    expected_calibration_error,
    iou,
    mean_over_classes,
    precision_recall_f1,
    roc_auc,
    top_k,
)

#                  predicted a  b  c
BY_HAND = np.array([[3, 1, 0],                     # a
                    [0, 2, 0],                     # b
                    [2, 0, 0]])                    # c, which is never predicted
scored = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=30)
answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


def test_example_computed_by_hand():
    assert accuracy(BY_HAND) == 5 / 8
    precision, recall, f1 = precision_recall_f1(BY_HAND)
    np.testing.assert_allclose(precision, [3 / 5, 2 / 3, 0])
    np.testing.assert_allclose(recall, [3 / 4, 1, 0])
    np.testing.assert_allclose(f1, [2 / 3, 4 / 5, 0])
    np.testing.assert_allclose(iou(BY_HAND), [3 / 6, 2 / 3, 0])
    assert balanced_accuracy(BY_HAND) == pytest.approx((3 / 4 + 1 + 0) / 3)


@given(answers)
def test_metrics_agree_with_counting(pairs):
    labels, predictions = np.array(pairs, np.int64).reshape(-1, 2).T
    confusion = confusion_matrix(labels, predictions, 4)
    for t, p in np.ndindex(4, 4):
        assert confusion[t, p] == sum(pair == (t, p) for pair in pairs)
    assert accuracy(confusion) == (sum(t == p for t, p in pairs) / len(pairs) if pairs else 0)
    for c, (precision, recall, f1) in enumerate(zip(*precision_recall_f1(confusion), strict=True)):
        correct = sum(t == p == c for t, p in pairs)
        predicted, true = sum(p == c for _, p in pairs), sum(t == c for t, _ in pairs)
        assert precision == pytest.approx(correct / predicted if predicted else 0)
        assert recall == pytest.approx(correct / true if true else 0)
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall) if correct else 0)


@pytest.mark.parametrize(("labels", "predictions", "message"), [
    ([0, 1], [0], "must be"), ([[0]], [[0]], "must be"),
    ([0, 3], [0, 0], "the label 3 is none of the 3 classes"), ([0, 0], [-1, 0], "the prediction -1 is none of"),
    ([0.5, 1], [0, 0], "labels must be whole numbers, not float64"),
])
def test_invalid_labels_are_refused(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels, predictions, 3)


@given(answers)
def test_overlaps_agree_with_sets(pairs):
    """IoU and Dice of a class from the sets of pixels that are, and that are predicted as, this class."""
    labels, predictions = np.array(pairs, np.int64).reshape(-1, 2).T
    confusion = confusion_matrix(labels, predictions, 4)
    for c in range(4):
        true, predicted = set(np.flatnonzero(labels == c)), set(np.flatnonzero(predictions == c))
        both, either = len(true & predicted), len(true | predicted)
        assert iou(confusion)[c] == pytest.approx(both / either if either else 0)
        assert dice(confusion)[c] == pytest.approx(2 * both / (len(true) + len(predicted)) if either else 0)


def test_means_leave_out_classes_that_do_not_occur():
    """As scikit-learn's `average="macro"` without `labels`, and its `balanced_accuracy_score`."""
    confusion = np.zeros((4, 4), np.int64)
    confusion[:3, :3] = [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    confusion[0, 3] = 2                              # never true, but predicted
    assert mean_over_classes(dice(confusion), confusion) == pytest.approx((2 / 5 + 4 / 5 + 0) / 3)
    assert balanced_accuracy(confusion) == pytest.approx((1 / 4 + 1) / 2)
    nothing = np.zeros((2, 2), np.int64)
    assert (mean_over_classes(dice(nothing), nothing), balanced_accuracy(nothing), accuracy(nothing)) == (0, 0, 0)


@given(scored)
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs):
    labels, scores = np.array(pairs).T
    compared = [(a > b) + (a == b) / 2 for a in scores[labels == 1] for b in scores[labels == 0]]
    expected = np.mean(compared) if compared else np.nan
    np.testing.assert_allclose(roc_auc(labels, scores.astype(np.float64)), expected)
    np.testing.assert_allclose(roc_auc(labels, 2.0**scores), expected)              # only the order counts
    np.testing.assert_allclose(roc_auc(1 - labels, -scores), expected)


@pytest.mark.parametrize(("metric", "arguments", "message"), [
    (accuracy, [np.ones((2, 3))], r"must be \(C, C\), not \(2, 3\)"),
    (balanced_accuracy, [np.ones(3)], r"must be \(C, C\), not \(3,\)"),
    (precision_recall_f1, [np.ones((2, 3))], r"must be \(C, C\)"), (iou, [np.ones((2, 3))], r"must be \(C, C\)"),
    (roc_auc, [[0, 1, 2], [0.1, 0.2, 0.3]], "labels must be 0 or 1, and there is 2"),
    (roc_auc, [[0, 1], [0.1, 0.2, 0.3]], r"labels \(2,\) and scores \(3,\)"),
    (calibration, [[0.1, 0.2], [True]], r"confidences \(2,\) and correct \(1,\)"),
])
def test_arguments_that_do_not_fit(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(*arguments)


def test_lists_are_arrays():
    counts = [[3, 1], [0, 4]]
    assert accuracy(counts) == 7 / 8
    assert balanced_accuracy(counts) == 7 / 8
    assert iou(counts).tolist() == [3 / 4, 4 / 5]
    assert top_k([0, 1, 2, 0], 1) == 0.5


def test_auc_of_nan():
    assert np.isnan(roc_auc(np.array([0, 1]), np.array([np.nan, 1.0])))


def test_auc_agrees_with_scikit_learn():
    oracle = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 500), np.round(rng.standard_normal(500), 1)
    assert roc_auc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores), rel=1e-12)


def test_calibration_agrees_with_its_definition():
    """Bins (0, 1/15], (1/15, 2/15], ..., and the error of Guo et al., bin by bin."""
    rng = np.random.default_rng(1)
    confidences = np.concatenate([rng.random(200), [0.0, 1.0, 1 / 3, 2 / 3]])
    correct = rng.random(len(confidences)) < confidences
    diagram, error = calibration(confidences, correct), 0.0
    for b in range(BINS):
        inside = (confidences > b / BINS) & (confidences <= (b + 1) / BINS)
        inside |= (confidences == 0) & (b == 0)
        np.testing.assert_allclose(diagram[:, b], [inside.sum(), confidences[inside].sum(), correct[inside].sum()])
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidences[inside].mean())
    assert expected_calibration_error(diagram) == pytest.approx(error)
    halves = [calibration(confidences[part], correct[part]) for part in (slice(100), slice(100, None))]
    np.testing.assert_allclose(sum(halves), diagram)
    assert expected_calibration_error(calibration(np.array([]), np.array([], bool))) == 0
    assert calibration(np.array([np.nan]), np.array([False]))[0, 0] == 1


def test_top_k():
    assert top_k(np.array([0, 3, 5, 4]), 5) == 0.75
    assert top_k(np.array([], int), 5) == 0
