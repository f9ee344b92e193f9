"""Sets with masks: what they check, and that masks follow their images through augmentation and into parts."""

import pickle

import numpy as np
import pytest

from minidl import augment
from minidl.data import DataLoader, ImageDataset, SegmentationDataset, tiles

rng = np.random.default_rng(0)
MASKS = rng.integers(0, 3, (10, 12, 16)).astype(np.uint8)
IMAGES = np.stack([MASKS * 100, MASKS * 50], axis=1)                # an image shows its mask


@pytest.fixture
def dataset():
    return SegmentationDataset(IMAGES, MASKS, "abc", "shapes")


def shows(images, masks, scale=255 / 100):
    """Whether images still show their masks."""
    np.testing.assert_array_equal(np.rint(images[:, 0] * scale).astype(int), masks)
    np.testing.assert_array_equal(np.rint(images[:, 1] * 2 * scale).astype(int), masks)


def test_batches(dataset):
    images, masks = dataset.batch([3, 1])
    assert (images.shape, images.dtype) == ((2, 2, 12, 16), np.float32)
    np.testing.assert_array_equal(masks, MASKS[[3, 1]])
    assert masks.dtype == np.int64
    image, mask = dataset[-1]
    shows(image[None], mask[None])
    assert repr(dataset) == "SegmentationDataset('shapes', 10 images of 2x12x16, 3 classes)"


def test_255_is_ignored():
    masks = MASKS.copy()
    masks[0, 0, :4] = 255
    dataset = SegmentationDataset(IMAGES, masks.astype(np.int64), "abc")
    assert dataset.labels.dtype == np.uint8
    assert dataset.batch([0])[1][0, 0, :5].tolist() == [-100] * 4 + [masks[0, 0, 4]]
    assert dataset.class_counts().sum() == MASKS.size - 4
    np.testing.assert_array_equal(dataset.class_counts(), [(c == masks).sum() for c in range(3)])


CROPS = augment.Compose([augment.RandomCrop(8), augment.RandomHorizontalFlip(), augment.RandomVerticalFlip()])


def test_training_on_crops_and_evaluation_on_whole_images(dataset):
    augmented = dataset.augmented(CROPS)
    first, second = (list(DataLoader(augmented, 4, seed=1, shuffle=True)) for _ in range(2))
    assert [images.shape for images, _ in first] == [(4, 2, 8, 8), (4, 2, 8, 8), (2, 2, 8, 8)]
    for images, masks in first:
        shows(images, masks)
    for (images, _), (others, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(images, others)
    whole = np.concatenate([masks for _, masks in DataLoader(augmented, 3, augment=False)])
    np.testing.assert_array_equal(whole, MASKS)


@pytest.mark.parametrize("transform", [
    augment.ElasticTransform(alpha=30, sigma=3, interpolation="nearest"),
    augment.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), interpolation="nearest", padding_mode="reflect"),
    augment.RandomApply([augment.RandomRotation(90, interpolation="nearest")]),
], ids=lambda transform: type(transform).__name__)
def test_masks_follow_their_images(dataset, transform):
    (images, masks), = DataLoader(dataset.augmented(transform), 10, seed=2)
    shows(images, masks)
    assert (masks != MASKS).any()


def test_colours_leave_masks_alone(dataset):
    (images, masks), = DataLoader(dataset.augmented(augment.GaussianNoise()), 10, seed=2)
    np.testing.assert_array_equal(masks, MASKS)
    assert not np.allclose(images, dataset.batch(range(10))[0])


def test_parts(dataset):
    whole = next(iter(DataLoader(dataset.augmented(CROPS), 10, seed=1)))
    order = [7, 2, 9]
    for part in (dataset.augmented(CROPS).subset(order), dataset.subset(order).augmented(CROPS),
                 pickle.loads(pickle.dumps(dataset.augmented(CROPS).subset(order)))):
        images, masks = next(iter(DataLoader(part, 10, seed=1)))
        np.testing.assert_array_equal(images, whole[0][order])
        np.testing.assert_array_equal(masks, whole[1][order])
        np.testing.assert_array_equal(part.labels, MASKS[order])
    first, rest = dataset.split(0.3)
    assert (len(first), len(rest), len(dataset.take(4))) == (3, 7, 4)
    shows(*first.batch(range(3)))
    np.testing.assert_array_equal(first.class_counts() + rest.class_counts(), dataset.class_counts())
    normalized = first.normalized((0.5, 0.5), (2, 2))
    np.testing.assert_allclose(normalized.batch([0])[0] * 2 + 0.5, first.batch([0])[0], atol=1e-6)
    np.testing.assert_array_equal(normalized.batch([0])[1], first.batch([0])[1])
    with pytest.raises(TypeError, match=r"an image of .* has no class of its own; use split"):
        rest.stratified_split(0.5)


def test_what_does_not_fit_is_refused():
    for masks, words in ((MASKS[:9], r"need masks \(10, 12, 16\), not \(9, 12, 16\)"),
                         (MASKS[:, :, :9], r"not \(10, 12, 9\)"),
                         (MASKS + 1, "masks must hold 0 to 2 for 3 classes, or 255 for pixels to be ignored, but go "
                                     "from 1 to 3"),
                         (MASKS.astype(np.int64) - 1, "from -1 to 1")):
        with pytest.raises(ValueError, match=words):
            SegmentationDataset(IMAGES, masks, "abc")
    with pytest.raises(TypeError, match="whole numbers"):
        SegmentationDataset(IMAGES, MASKS / 2, "abc")
    with pytest.raises(ValueError, match="1 to 255 classes, not 256"):
        SegmentationDataset(IMAGES, MASKS, range(256))


def test_class_weights():
    dataset = ImageDataset(np.zeros((8, 1, 2, 2), np.uint8), [0, 0, 0, 0, 0, 0, 2, 2], "abc")
    assert dataset.class_counts().tolist() == [6, 0, 2]
    weights = dataset.class_weights()
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [8 / (2 * 6), 1, 8 / (2 * 2)])
    np.testing.assert_allclose(weights[dataset.labels].mean(), 1)
    root = dataset.class_weights(power=0.5)
    np.testing.assert_allclose([root[2] / root[0], root[dataset.labels].mean()], [3**0.5, 1], rtol=1e-6)
    assert dataset.class_weights(power=0).tolist() == [1, 1, 1]
    assert dataset.subset([0, 6]).class_weights().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="power=2 must be a finite number from 0 to 1"):
        dataset.class_weights(power=2)
    with pytest.raises(ValueError, match="there are no images in"):
        dataset.take(0).class_weights()


def test_class_weights_of_pixels(dataset):
    weights = dataset.class_weights()
    np.testing.assert_allclose(weights, [MASKS.size / (3 * (c == MASKS).sum()) for c in range(3)], rtol=1e-6)
    assert dataset.summary() == {
        "name": "shapes", "images": 10, "image_shape": [2, 12, 16], "counted": "pixels", "mean": [0, 0], "std": [1, 1],
        "classes": [[name, int((c == MASKS).sum())] for c, name in enumerate("abc")]}


# Tiles

@pytest.mark.parametrize(("size", "margin"), [(12, 0), ((5, 7), 0), ((6, 8), 0), ((5, 7), 1), ((12, 5), 2), (1, 0)])
def test_each_pixel_is_in_one_tile(dataset, size, margin):
    for part in (dataset, dataset.subset([7, 2])):
        cut = tiles(part, size, margin)
        np.testing.assert_array_equal(cut.class_counts(), part.class_counts())
        images, masks = cut.batch(range(len(cut)))
        known = masks >= 0
        np.testing.assert_array_equal(np.rint(images[:, 0] * 2.55).astype(int)[known], masks[known])
        assert cut.image_shape == (2, *np.broadcast_to(size, 2))
    assert (cut.classes, cut.mean, cut.std) == (dataset.classes, dataset.mean, dataset.std)


def test_the_margin_is_context(dataset):
    cut = tiles(dataset.take(1), (12, 8), margin=2)
    assert len(cut) == 3                                            # 16 columns: 0..5, 6..9, 10..15
    seen = [np.flatnonzero((mask != 255).any(0)).tolist() for mask in cut.labels]
    assert seen == [[0, 1, 2, 3, 4, 5], [2, 3, 4, 5], [2, 3, 4, 5, 6, 7]]


def test_tiles_that_make_no_sense(dataset):
    for settings, words in (({"size": 13}, r"size=13 must be at most that of the images, \(12, 16\)"),
                            ({"size": 4, "margin": 2}, "more than twice margin=2"), ({"size": 0}, "size="),
                            ({"size": 4, "margin": -1}, "margin=-1")):
        with pytest.raises(ValueError, match=words):
            tiles(dataset, **settings)
    with pytest.raises(TypeError, match="has no masks"):
        tiles(ImageDataset(IMAGES, np.zeros(10, int), "a"), 4)
