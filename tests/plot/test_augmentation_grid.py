"""The grid of augmented images."""

import numpy as np
import pytest

from minidl import plot
from minidl.augment import Draws, RandomCrop, RandomHorizontalFlip


def test_versions_are_those_of_the_epochs(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 10)).astype(np.uint8)
    picture = plot.augmentation_grid(images, RandomHorizontalFlip(), versions=4, seed=5)
    assert picture.values.shape == (3, 4, 3, 8, 10)
    expected = RandomHorizontalFlip()(images, draws=Draws(5, 2, np.arange(3)))
    np.testing.assert_array_equal(picture.values[:, 2], expected)
    picture.save(tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_other_sizes_and_grey_images():
    images = np.zeros((2, 1, 8, 8), np.uint8)
    assert plot.augmentation_grid(images, RandomCrop(4)).values.shape == (2, 7, 1, 4, 4)
    assert plot.augmentation_grid(images, RandomCrop(12, padding=2), 1).values.shape == (2, 1, 1, 12, 12)


def test_bad_inputs():
    for images in (np.zeros((2, 2, 8, 8), np.uint8), np.zeros((0, 3, 8, 8), np.uint8), np.zeros((8, 8), np.uint8)):
        with pytest.raises(ValueError, match=r"^augmentation_grid: images must be"):
            plot.augmentation_grid(images, RandomCrop(4))
    with pytest.raises(ValueError, match="versions=0"):
        plot.augmentation_grid(np.zeros((1, 3, 8, 8), np.uint8), RandomCrop(4), 0)
