"""MixUp and CutMix: images and labels are mixed by the same share."""

import numpy as np
import pytest

from minidl.augment import CutMix, Draws, MixUp


def batch(n=8):
    """Image i has the brightness 10 * i everywhere, and the label i."""
    return np.repeat(np.arange(n, dtype=np.uint8) * 10, 3 * 16).reshape(n, 3, 4, 4), np.arange(n)


def test_mixup_mixes_images_and_labels_alike():
    images, labels = batch()
    out, targets = MixUp(1.0)(images, labels, 8, Draws(0, 0, np.arange(8)))
    assert out.dtype == np.uint8
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(out[:, 0, 0, 0], targets @ (labels * 10), atol=0.51)
    assert (out == out[:, :1, :1, :1]).all()
    floats, _ = MixUp(1.0)(images.astype(np.float32), labels, 8, Draws(0, 0, np.arange(8)))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats[:, 0, 0, 0], targets @ (labels * 10), rtol=1e-5)


def test_cutmix_mixes_labels_by_area():
    images, labels = batch()
    areas = set()
    for seed in range(30):
        out, targets = CutMix()(images, labels, 8, Draws(seed, 0, np.arange(8)))
        own = (out[:, 0] == (labels * 10)[:, None, None]).mean((1, 2))
        np.testing.assert_allclose(targets[labels, labels], own, rtol=1e-6)
        np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
        areas.add(own[0])
    assert len(areas) > 5


@pytest.mark.parametrize("mix", [MixUp(0.4), CutMix(1)], ids=repr)
def test_bad_inputs_and_empty_batches(mix):
    images, labels = batch()
    assert mix(images[:0], labels[:0], 8)[1].shape == (0, 8)
    with pytest.raises(ValueError, match=r"8 images need 8 whole numbers as labels, not int64 \(7,\)"):
        mix(images, labels[:7], 8)
    with pytest.raises(ValueError, match=r"labels must lie in 0..6, but go from 0 to 7"):
        mix(images, labels, 7)
    for alpha in (0, -1, "1", float("inf")):
        with pytest.raises(ValueError, match=r"must be larger than 0"):
            type(mix)(alpha)
