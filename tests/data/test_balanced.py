"""DataLoader(balanced=True): each class equally often, and the same orders again by seed and epoch."""

import numpy as np
import pytest

from minidl import augment
from minidl.data import DataLoader, ImageDataset, SegmentationDataset

FEW = np.repeat([0, 2, 3], [90, 7, 3])


@pytest.fixture
def uneven():
    return ImageDataset(np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1), FEW, "abcd")


def seen(loader):
    """(the images, their labels) of an epoch."""
    images, labels = zip(*loader, strict=True)
    return np.rint(np.concatenate(images).ravel() * 255).astype(int), np.concatenate(labels)


def test_a_balanced_loader_shows_each_class_equally_often(uneven):
    loader, more = DataLoader(uneven, 32, balanced=True, seed=1), []
    assert len(loader) == 4
    for _ in range(60):
        images, labels = seen(loader)
        np.testing.assert_array_equal(labels, FEW[images])
        counts = np.bincount(labels, minlength=4)
        assert sorted(counts) == [0, 33, 33, 34]
        more.append(int(counts.argmax()))
        for label, members in ((0, 90), (2, 7), (3, 3)):               # evenly within a class, too
            taken = np.bincount(images[labels == label], minlength=100)[label == FEW]
            assert len(taken) == members
            assert taken.max() - taken.min() <= 1
    assert set(more) == {0, 2, 3}


def test_balanced_orders_depend_on_the_seed_and_the_epoch(uneven):
    first = [seen(DataLoader(uneven, 10, balanced=True, seed=1, prefetch=prefetch))[0] for prefetch in (0, 2)]
    np.testing.assert_array_equal(*first)
    loader = DataLoader(uneven, 10, balanced=True, seed=1)
    epochs = [seen(loader)[0] for _ in range(3)]
    assert not np.array_equal(epochs[0], epochs[1])
    loader.epoch = 2
    np.testing.assert_array_equal(seen(loader.batches(4))[0], epochs[2][40:])
    assert not np.array_equal(seen(DataLoader(uneven, 10, balanced=True, seed=2))[0], epochs[0])


def test_an_image_that_comes_again_is_augmented_differently():
    images = np.zeros((100, 1, 8, 8), np.uint8)
    images[:, :, 3:5, 2] = 200
    dataset = ImageDataset(images, FEW, "abcd").augmented(augment.RandomCrop(8, padding=4))
    for part in (dataset, dataset.subset(range(99, -1, -1))):
        batches = list(DataLoader(part, 10, balanced=True, seed=1))
        shown = np.concatenate([x for x, _ in batches])[np.concatenate([y for _, y in batches]) == 3]
        assert len({image.tobytes() for image in shown}) > 15           # of 33 or 34 changes of 3 images
    once = DataLoader(dataset.subset(np.flatnonzero(FEW)[[0, 7]]), 2, balanced=True, seed=1)
    (x, y), = once
    (expected, _), = DataLoader(dataset.subset(np.flatnonzero(FEW)[[0, 7]]), 2, seed=1)
    np.testing.assert_array_equal(x[np.argsort(y)], expected)           # a first visit is as in any loader


def test_balanced_needs_labels(uneven):
    class Bare:
        def __len__(self):
            return 3

        def batch(self, indices):
            return np.zeros((len(indices), 1, 1, 1), np.float32), np.asarray(indices)

    masks = SegmentationDataset(np.zeros((3, 1, 2, 2), np.uint8), np.zeros((3, 2, 2), int), "ab")
    for dataset in (Bare(), masks):
        with pytest.raises(TypeError, match=r"balanced=True needs a data set with a label for each image"):
            DataLoader(dataset, 2, balanced=True)
    assert len(list(DataLoader(uneven.take(1), 1, balanced=True))) == 1
