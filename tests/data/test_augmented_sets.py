"""Data sets that are augmented: in training only, and by the seed, the epoch and the image alone."""

import pickle

import numpy as np
import pytest

import minidl
from minidl.augment import Compose, Draws, RandomCrop, RandomHorizontalFlip
from minidl.data import DataLoader, ImageDataset

FLIP = Compose([RandomCrop(6, padding=2), RandomHorizontalFlip()])


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    return ImageDataset(rng.integers(0, 256, (20, 3, 6, 6)).astype(np.uint8), np.arange(20) % 2, "ab")


def epochs(loader, count=2):
    return [np.concatenate([images for images, _ in loader]) for _ in range(count)]


def test_only_training_is_augmented(dataset):
    augmented = dataset.augmented(FLIP)
    plain = dataset.batch(range(20))[0]
    np.testing.assert_array_equal(augmented.batch(range(20))[0], plain)
    np.testing.assert_array_equal(epochs(DataLoader(augmented, 7, augment=False), 1)[0], plain)
    first, second = epochs(DataLoader(augmented, 7, seed=3))
    assert not np.array_equal(first, plain)
    assert not np.array_equal(first, second)
    assert dataset.transform is None
    assert augmented.augmented(None).transform is None
    expected = FLIP(dataset.images, draws=Draws(3, 1, np.arange(20))).astype(np.float32)
    np.testing.assert_allclose(second * 255, expected, atol=1e-4)


@pytest.mark.parametrize(("batch_size", "prefetch"), [(1, 0), (7, 2), (20, 1)])
def test_batches_and_threads_make_no_difference(dataset, batch_size, prefetch):
    augmented = dataset.augmented(FLIP)
    expected = epochs(DataLoader(augmented, 5, seed=1, prefetch=0))
    np.testing.assert_array_equal(epochs(DataLoader(augmented, batch_size, seed=1, prefetch=prefetch)), expected)


def test_an_image_is_changed_alike_in_every_part(dataset):
    whole = epochs(DataLoader(dataset.augmented(FLIP), 20, seed=1), 1)[0]
    order = [7, 2, 19]
    for part in (dataset.augmented(FLIP).subset(order), dataset.subset(order).augmented(FLIP),
                 dataset.subset([0, *order]).augmented(FLIP).subset([1, 2, 3]),
                 pickle.loads(pickle.dumps(dataset.augmented(FLIP).subset(order)))):
        np.testing.assert_array_equal(epochs(DataLoader(part, 2, seed=1), 1)[0], whole[order])
        assert part.transform is not None


def test_a_transform_that_changes_the_size(dataset):
    with pytest.raises(ValueError, match=r"changes images \(3, 6, 6\) to \(3, 4, 4\); training and evaluation need"):
        dataset.augmented(RandomCrop(4))


def test_normalized(dataset):
    other = dataset.normalized((0.5,) * 3, (0.25,) * 3)
    np.testing.assert_allclose(other.batch([0])[0], (dataset.images[:1] / 255 - 0.5) / 0.25, rtol=1e-5, atol=1e-6)
    assert dataset.mean == (0, 0, 0)
    assert dataset.subset([1]).normalized((0.5,) * 3, (0.25,) * 3).mean == (0.5,) * 3
    with pytest.raises(ValueError, match="std"):
        dataset.normalized((0.5,) * 3, (0,) * 3)


def test_stratified_split():
    labels = np.repeat([0, 1, 2], [10, 100, 2])
    dataset = ImageDataset(np.zeros((112, 1, 2, 2), np.uint8), labels, "abc")
    train, validation = dataset.stratified_split(0.8)
    assert np.bincount(train.labels).tolist() == [8, 80, 1]
    assert np.bincount(validation.labels).tolist() == [2, 20, 1]
    assert sorted([*train.indices, *validation.indices]) == list(range(112))
    assert [len(part) for part in dataset.stratified_split(1.0)] == [112, 0]
    with pytest.raises(ValueError, match=r"cannot split the part 2 off each class"):
        dataset.stratified_split(2)


def test_a_subclass_must_pass_the_seed_on(dataset):
    class Inverted(ImageDataset):
        def batch(self, indices):
            images, labels = super().batch(indices)
            return -images, labels

    class Passing(ImageDataset):
        def batch(self, indices, epoch=None, seed=0):
            images, labels = super().batch(indices, epoch, seed)
            return -images, labels

    arrays = dataset.images, dataset.labels, dataset.classes
    with pytest.raises(TypeError, match=r"Inverted.batch takes no `epoch` and `seed`, without which nothing"):
        Inverted(*arrays).augmented(FLIP)
    expected = epochs(DataLoader(dataset.augmented(FLIP), 20, seed=1), 1)[0]
    np.testing.assert_array_equal(epochs(DataLoader(Passing(*arrays).augmented(FLIP), 20, seed=1), 1)[0], -expected)


def test_a_seed_is_drawn_only_for_augmented_sets(dataset):
    minidl.manual_seed(0)
    before = minidl.device.random_state()
    list(DataLoader(dataset))
    assert minidl.device.random_state() == before
    first = epochs(DataLoader(dataset.augmented(FLIP)))
    minidl.manual_seed(0)
    np.testing.assert_array_equal(epochs(DataLoader(dataset.augmented(FLIP))), first)
