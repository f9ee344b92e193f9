"""Connected components against a flood fill, and the Rand error against all pairs of pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.evaluation.rand import RandError, connected_components, rand_error, rand_errors

masks = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000), st.sampled_from([0.3, 0.6, 0.8])).map(
    lambda case: np.random.default_rng(case[2]).random(case[:2]) < case[3])


def flooded(mask):
    """The same by a flood fill, pixel by pixel."""
    out, count = np.zeros(mask.shape, int), 0
    for start in np.argwhere(mask):
        if out[tuple(start)]:
            continue
        count += 1
        waiting = [tuple(start)]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not out[y, x]:
                out[y, x] = count
                waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return out


@given(mask=masks)
def test_components(mask):
    np.testing.assert_array_equal(connected_components(mask), flooded(mask))


def test_a_long_way_is_one_component():
    spiral = np.ones((41, 41), bool)
    for ring in range(1, 20, 2):
        spiral[ring, ring - 1:41 - ring] = spiral[ring:41 - ring, 40 - ring] = False
        spiral[40 - ring, ring:41 - ring] = spiral[ring + 2:41 - ring, ring] = False
    np.testing.assert_array_equal(connected_components(spiral), flooded(spiral))


def by_pairs(truth, predicted):
    """Of the ordered pairs of true pixels, a pixel and itself included, those that are together."""
    true = truth[truth != 0]
    found = predicted[truth != 0].copy()
    found[found == 0] = -np.arange(1, (found == 0).sum() + 1)            # each on its own
    both = in_true = in_found = 0
    for i, j in itertools.product(range(len(true)), repeat=2):
        in_true += true[i] == true[j]
        in_found += found[i] == found[j]
        both += true[i] == true[j] and found[i] == found[j]
    return both / in_true, both / in_found


@given(seed=st.integers(0, 1000))
def test_rand_error(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 4, (2, 4, 5))
    truth[0, 0] = 1
    result = rand_error(truth, predicted)
    split, merge = by_pairs(truth, predicted)
    assert result == pytest.approx(RandError(1 - 2 * split * merge / (split + merge), split, merge))


def test_the_meaning():
    truth = connected_components(np.array([[1, 1, 1, 0, 1, 1, 1]] * 3) > 0)
    assert rand_error(truth, truth) == (0, 1, 1)
    renamed = np.where(truth == 1, 7, truth)
    assert rand_error(truth, renamed).error == 0
    merged = rand_error(truth, np.ones_like(truth))
    assert merged.split == 1
    assert merged.merge == 0.5
    halves = truth.copy()
    halves[:, 0], halves[:, 2] = 5, 6
    assert rand_error(truth, halves).merge == 1
    assert rand_error(truth, halves).split < 1


def test_bad_input():
    whole = np.ones((3, 3), int)
    with pytest.raises(ValueError, match="there are no true segments"):
        rand_error(0 * whole, whole)
    with pytest.raises(ValueError, match=r"not int64 \(3, 3\) and int64 \(2, 3\)"):
        rand_error(whole, whole[:2])
    with pytest.raises(ValueError, match="whole numbers"):
        rand_error(whole, whole / 2)
    with pytest.raises(ValueError, match=r"must be \(H, W\)"):
        connected_components(np.ones(3))


def test_thresholds():
    masks = np.array([[[1, 0, 1]] * 3])
    probabilities = np.array([[[0.9, 0.35, 0.9]] * 3])
    errors = rand_errors(masks, probabilities, [0.2, 0.5, 0.95])
    assert errors[0.5] == 0
    assert errors[0.2] == pytest.approx(1 - 2 * 0.5 / 1.5)               # merged
    assert errors[0.95] == pytest.approx(1 - 2 * (6 / 18) / (1 + 6 / 18))            # nothing is found
    with pytest.raises(ValueError, match=r"must be \(N, H, W\)"):
        rand_errors(masks[0], probabilities[0])
