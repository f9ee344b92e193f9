"""The drawn digits: balanced, reproducible, and neither trivial nor too hard."""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import digits, drawn_digits, load


def softmax_regression(images, labels, epochs=15, lr=0.02):
    """Weights (pixels, 10) and bias of a linear classifier, by plain SGD in batches of 100."""
    weight, bias = np.zeros((images.shape[1], 10), np.float32), np.zeros(10, np.float32)
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        for batch in rng.permutation(len(images)).reshape(-1, 100):
            scores = np.exp(images[batch] @ weight + bias)
            error = scores / scores.sum(1, keepdims=True) - np.eye(10, dtype=np.float32)[labels[batch]]
            weight -= lr / 100 * (images[batch].T @ error)
            bias -= lr / 100 * error.sum(0)
    return weight, bias


def test_linear_classifier_reaches_80_to_95_percent():
    train, test = drawn_digits(6000, seed=0), drawn_digits(2000, seed=1)
    (x, y), (x_test, y_test) = train.batch(range(6000)), test.batch(range(2000))
    weight, bias = softmax_regression(x.reshape(len(x), -1), y)
    accuracy = ((x_test.reshape(len(x_test), -1) @ weight + bias).argmax(1) == y_test).mean()
    assert 0.8 < accuracy < 0.95


many_digits = cache(partial(drawn_digits, 1200))


@pytest.mark.examples(0.2)                               # each draws 600 digits
@given(st.integers(1, 1200), st.integers(0, 3))
def test_any_count_is_a_balanced_prefix_of_the_same_sequence(count, seed):
    few, many = drawn_digits(count, seed), many_digits(seed)
    assert len(few) == count
    np.testing.assert_array_equal(few.images, many.images[:count])
    np.testing.assert_array_equal(few.labels, many.labels[:count])
    frequencies = np.bincount(few.labels, minlength=10)
    assert frequencies.max() - frequencies.min() <= 1


def test_different_seeds_give_different_digits():
    a, b = drawn_digits(100, seed=0), drawn_digits(100, seed=1)
    assert not np.array_equal(a.images, b.images)
    assert not np.array_equal(a.labels, b.labels)
    assert len(np.unique(drawn_digits(1000).images, axis=0)) == 1000


def test_images_have_ink_inside_the_frame_and_the_stated_statistics():
    data = drawn_digits(2000)
    assert data.images.shape == (2000, 1, 28, 28)
    assert data.classes == tuple("0123456789")
    ink = data.images > 64
    assert ink.sum((1, 2, 3)).min() > 15  # every image has ink
    assert ink[:, :, [0, -1]].mean() < 0.03  # and hardly any of it touches the border
    assert ink[:, :, :, [0, -1]].mean() < 0.03
    images, _ = data.batch(range(2000))
    assert abs(images.mean()) < 0.03
    assert abs(images.std() - 1) < 0.03


def test_splits_differ():
    train, test = digits(), digits("test")
    assert (len(train), len(test)) == (12_000, 2_000)
    assert not np.array_equal(train.images[:2000], test.images)
    with pytest.raises(ValueError, match="train, test, not 'valid'"):
        digits("valid")


@pytest.mark.parametrize(("count", "seed", "error"), [(0, 0, ValueError), (10, -1, ValueError), (1.5, 0, TypeError)])
def test_invalid_arguments_are_refused(count, seed, error):
    with pytest.raises(error):
        drawn_digits(count, seed)


def test_the_digits_need_no_folder(monkeypatch, tmp_path):
    """One that is named must exist all the same, but the environment names it for other data sets, too."""
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "later"))
    assert len(load("digits", "test")) == 2000
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load("digits", "test", tmp_path / "typo")
