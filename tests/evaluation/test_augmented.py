"""Test-time augmentation: which views a model sees, and that masks are turned back."""

import numpy as np
import pytest

from minidl import Tensor, nn
from minidl.evaluation import Augmented, predict, predict_augmented
from minidl.evaluation.augmented import VIEWS

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)


class Spy(nn.Module):
    """Returns its images as masks, or means over pixels as classes, and keeps what it saw."""

    def __init__(self, masks=True):
        self.masks, self.seen = masks, []

    def forward(self, x):
        self.seen.append(x.numpy().copy())
        return x if self.masks else x.mean((2, 3))


@pytest.mark.parametrize(("tta", "count"), [("mirror", 2), ("turns", 8)])
@pytest.mark.parametrize("shape", [(32, 32), (32, 20)])
def test_masks_are_turned_back(tta, count, shape):
    spy, images = Spy(), IMAGES[..., : shape[0], : shape[1]]
    np.testing.assert_allclose(predict(Augmented(spy, tta), images), images, rtol=1e-6)
    views = {view.tobytes() for view in spy.seen}
    assert len(views) == len(spy.seen) == (4 if tta == "turns" and shape[1] == 20 else count)


def test_the_turns_are_those_of_numpy():
    spy = Spy()
    predict(Augmented(spy, "turns"), IMAGES)
    expected = {np.ascontiguousarray(np.rot90(flipped, k, (2, 3))).tobytes()
                for flipped in (IMAGES, IMAGES[..., ::-1]) for k in range(4)}
    assert {view.tobytes() for view in spy.seen} == expected


def test_shifts():
    spy = Spy(masks=False)
    predict(Augmented(spy, "shift"), IMAGES)
    same, one, other = spy.seen
    np.testing.assert_array_equal(same, IMAGES)
    np.testing.assert_array_equal(one[..., 1:, 1:], IMAGES[..., :-1, :-1])
    np.testing.assert_array_equal(other[..., :-1, :-1], IMAGES[..., 1:, 1:])
    np.testing.assert_array_equal(one[..., 0, 1:], IMAGES[..., 1, :-1])           # reflected


def test_true_is_what_suits_the_labels():
    for masks, count in ((True, 8), (False, 2)):
        spy = Spy(masks)
        predict_augmented(spy, IMAGES)
        assert len(spy.seen) == count


def test_the_mean_of_the_logits():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))
    views = [predict(model, view.of(Tensor(IMAGES)).numpy()) for view in VIEWS["mirror+shift"]]
    assert len(views) == 6
    np.testing.assert_allclose(predict_augmented(model, IMAGES, "mirror+shift"), np.mean(views, 0), atol=1e-6)


def test_wrong_views():
    with pytest.raises(ValueError, match="tta='blur' must be True or one of 'mirror', 'shift', 'mirror"):
        Augmented(Spy(), "blur")
    with pytest.raises(ValueError, match="masks cannot be shifted"):
        predict_augmented(Spy(), IMAGES, "shift")
