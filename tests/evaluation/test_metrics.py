"""Metrics against results computed by hand, and against their definitions counted image by image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.evaluation.metrics import (
    accuracy,
    class_table,
    confusion_matrix,
    confusion_table,
    precision_recall_f1,
)

#                  predicted a  b  c
BY_HAND = np.array([[3, 1, 0],                     # a
                    [0, 2, 0],                     # b
                    [2, 0, 0]])                    # c, which is never predicted
answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


def test_example_computed_by_hand():
    assert accuracy(BY_HAND) == 5 / 8
    precision, recall, f1 = precision_recall_f1(BY_HAND)
    np.testing.assert_allclose(precision, [3 / 5, 2 / 3, 0])
    np.testing.assert_allclose(recall, [3 / 4, 1, 0])
    np.testing.assert_allclose(f1, [2 / 3, 4 / 5, 0])


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
    ([0, 3], [0, 0], "a label is not one of"), ([0, 0], [-1, 0], "a prediction is not one of"),
])
def test_invalid_labels_are_refused(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels, predictions, 3)


def test_class_table():
    assert class_table(BY_HAND, ("a", "b", "long name")).splitlines() == [
        "class      precision   recall       F1   images",
        "a              60.00    75.00    66.67        4",
        "b              66.67   100.00    80.00        2",
        "long name       0.00     0.00     0.00        2",
        "mean           42.22    58.33    48.89        8",
    ]


def test_confusion_table():
    assert confusion_table(BY_HAND, ("a", "b", "c")).splitlines() == [
        "   a  b  c",
        "a  3  1  0",
        "b  0  2  0",
        "c  2  0  0",
    ]
    assert confusion_table(BY_HAND[:2, :2] * 1000, ("trouser", "bag")).splitlines() == [
        "               0     1",
        " 0 trouser  3000  1000",
        " 1 bag         0  2000",
    ]
