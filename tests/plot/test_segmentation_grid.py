"""Pictures of masks: mistakes have the colours that the title names."""

import numpy as np
import pytest

from minidl import plot
from minidl.plot.segmentation import INVENTED, MISSED

IMAGES = np.full((2, 1, 3, 4), 255, np.uint8)
MASKS = np.zeros((2, 3, 4), int)


def test_two_classes(tmp_path):
    masks, predictions = MASKS.copy(), MASKS.copy()
    masks[0, 0, 0], predictions[0, 0, 1], masks[0, 2, 2] = 1, 1, -100
    picture = plot.segmentation_grid(IMAGES, masks, predictions, ["wall", "cell"], "two")
    assert picture.values.shape == (2, 3, 4, 3)
    assert tuple(picture.values[0, 0, 0]) == INVENTED
    assert tuple(picture.values[0, 0, 1]) == MISSED
    assert (picture.values[0, 2] == 1).all()
    assert (picture.values[1] == 1).all()
    picture.save(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_more_classes_and_colour():
    predictions = MASKS.copy()
    predictions[0, 0, 0] = 2
    values = plot.segmentation_grid(IMAGES.repeat(3, 1) / 255, MASKS, predictions, "abc").values
    assert tuple(values[0, 0, 0]) == MISSED


def test_bad_input():
    with pytest.raises(ValueError, match=r"images must be \(N, 1 or 3, H, W\)"):
        plot.segmentation_grid(IMAGES[:0], MASKS[:0], MASKS[:0], "ab")
    with pytest.raises(ValueError, match=r"masks \(1, 3, 4\) and predictions \(2, 3, 4\) do not fit"):
        plot.segmentation_grid(IMAGES, MASKS[:1], MASKS, "ab")
