"""Transforms and mixes of images on a GPU: the same random numbers, and the pixels of the CPU, or next to them."""

import emulator
import numpy as np
import pytest
import strict_array
import strict_cuda
from test_transforms import ALL, batch

from minidl import augment, faults
from minidl.augment import CutMix, Draws, MixUp
from minidl.kernels import using

BACKENDS = ["plain", pytest.param("auto", marks=pytest.mark.skipif(emulator.missing() is not None, reason="no g++"))]
EXACT = {"AlternatingFlip", "Cutout", "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomVerticalFlip"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_a_transform_on_a_gpu(transform, backend):
    """Bytes may differ by 1 where a value is close to a half; and where noise is, whose logarithms are the GPU's."""
    images = batch(8)
    masks = images[:, 0] % 3
    expected, classes = transform(images, masks, Draws(3, 1, np.arange(8)))
    there = strict_array.asarray(images), strict_array.asarray(masks)
    strict_cuda.read_backs.clear()
    with using(backend=backend):
        ours, moved = transform(*there, Draws(3, 1, np.arange(8)))
    assert strict_cuda.read_backs == []
    assert ours.dtype == moved.dtype == np.uint8
    np.testing.assert_array_equal(there[0].get(), images)
    differences = np.abs(ours.get().astype(int) - expected)
    if type(transform).__name__ in EXACT:
        assert not differences.any()
    assert differences.max() <= 1 or "nearest" in repr(transform)
    assert np.count_nonzero(differences) <= differences.size // 100
    assert np.count_nonzero(moved.get() != classes) <= classes.size // 100


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mix", [MixUp(0.4), CutMix(1)], ids=repr)
def test_a_mix_on_a_gpu(gpu, mix, backend):
    images, labels = batch(8).astype(np.float32), np.arange(8) % 5
    expected, targets = mix(images, labels, 5, Draws(3, 1, [0]))
    there = strict_array.asarray(images), strict_array.asarray(labels)
    gpu.read_backs.clear()
    with using(backend=backend):
        ours, shares = mix(*there, 5, Draws(3, 1, [0]))
        mix(*there, 4, Draws(3, 1, [0]))
    assert gpu.read_backs == []
    np.testing.assert_allclose(ours.get(), expected, rtol=1e-6)
    np.testing.assert_array_equal(shares.get(), targets)
    with pytest.raises(ValueError, match=rf"{type(mix).__name__}: a label is 4; labels must lie in 0..3"):
        faults.tell()


def test_what_extends_a_transform_runs_on_the_cpu_until_it_says_otherwise():
    class Brighter(augment.RandomCrop):
        def apply(self, images, rows, columns):
            return np.maximum(super().apply(images, rows, columns), 9)

    assert augment.RandomCrop(3).on_device
    assert not Brighter(3).on_device
    assert not augment.Compose([augment.RandomCrop(3), augment.RandomApply(Brighter(3))]).on_device
    with pytest.raises(TypeError, match=r"^Brighter: its code runs on the CPU; give it NumPy arrays, images.get\(\)"):
        Brighter(3)(strict_array.asarray(batch(2)))
