"""`take`, `split` and `subset` keep whatever a data set does to its images, and settings of its own."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minidl.data import DataLoader, ImageDataset, random_generator

rng = np.random.default_rng(0)
IMAGES, LABELS = rng.integers(0, 256, (20, 1, 4, 4), dtype=np.uint8), np.arange(20) % 3


class Flipped(ImageDataset):
    """Written as `batch(indices)` was before it learned the epoch."""

    flip = True

    def batch(self, indices):
        images, labels = super().batch(indices)
        return (images[..., ::-1].copy() if self.flip else images), labels


class Weighted(ImageDataset):
    """It has an array of its own for each image, and a method."""

    def __init__(self):
        super().__init__(IMAGES, LABELS, "abc", "weighted", 0.3, 0.5)
        self.weights = np.arange(20, dtype=np.float32).reshape(-1, 1, 1, 1)

    def batch(self, indices, epoch=None):
        images, labels = super().batch(indices)
        return images * self.weights[indices] + (epoch or 0), labels

    def heaviest(self):
        return float(self.weights.max())


class Drawn:
    """No ImageDataset: it makes its images from random numbers of (seed, epoch, index)."""

    def __len__(self):
        return 23

    def batch(self, indices, epoch=None, seed=0):
        images = [np.zeros(3) if epoch is None else random_generator(seed, epoch, i).random(3) for i in indices]
        return np.array(images, np.float32), np.array(indices)


def parts(data):
    """(part, the indices of its images in `data`)"""
    order = np.random.default_rng(0).permutation(20)
    first, rest = data.split(8)
    yield first, order[:8]
    yield rest, order[8:]
    yield data.split(np.float32(0.4))[0], order[:8]
    yield data.split(np.int64(8))[1], order[8:]
    yield data.take(np.int64(5)), np.arange(5)
    yield data.subset([7, -1, 7]), [7, 19, 7]
    yield rest.take(4).split(0.5)[1].subset([1]), order[8:12][np.random.default_rng(0).permutation(4)[2:]][[1]]


@pytest.mark.parametrize("data", [Flipped(IMAGES, LABELS, "abc"), Weighted()], ids=lambda data: type(data).__name__)
@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("made", [lambda part: part, copy.copy, copy.deepcopy,
                                  lambda part: pickle.loads(pickle.dumps(part))],
                         ids=["itself", "copy", "deep copy", "unpickled"])
def test_a_part_has_the_batches_of_its_set(data, number, made):
    part, indices = list(parts(data))[number]
    part = made(part)
    expected = data.batch(np.asarray(indices))
    for images, labels in (part.batch(range(len(part))), *DataLoader(part, 100, augment=False)):
        np.testing.assert_array_equal(images, expected[0])
        np.testing.assert_array_equal(labels, expected[1])
    np.testing.assert_array_equal(part.images, data.images[indices])
    np.testing.assert_array_equal(part.labels, data.labels[indices])
    np.testing.assert_array_equal(part[-1][0], expected[0][-1])
    assert (part.classes, part.name, part.mean, part.std) == (data.classes, data.name, data.mean, data.std)
    assert (len(part), len(list(part)), part.image_shape) == (len(indices), len(indices), (1, 4, 4))
    assert isinstance(part, ImageDataset)
    with pytest.raises(IndexError):
        part.batch([len(indices)])


def test_what_a_subclass_adds_is_found():
    part = Weighted().take(3)
    assert part.heaviest() == 19
    assert part.weights.shape == (20, 1, 1, 1)
    with pytest.raises(AttributeError, match="lightest"):
        part.lightest()
    assert repr(part) == "Weighted('weighted', 20 images of 1x4x4, 3 classes)[3 images]"


def test_a_setting_belongs_to_one_part():
    data = Flipped(IMAGES, LABELS, "abc")
    plain, flipped = (ImageDataset.batch(data, [4])[0][..., ::step] for step in (1, -1))
    first, rest = data.subset([4, 0]), data.subset([1, 4])
    copied = copy.copy(rest)
    rest.flip = False
    np.testing.assert_array_equal(rest.batch([1])[0], plain)
    np.testing.assert_array_equal(rest.take(2).batch([1])[0], plain)
    for part, index in ((data, 4), (first, 0), (copied, 1)):
        np.testing.assert_array_equal(part.batch([index])[0], flipped)


def test_what_a_part_cannot_change_is_refused():
    part = ImageDataset(IMAGES, LABELS, "abc").subset([3, 1])
    for name in ("images", "labels", "indices", "dataset"):
        with pytest.raises(AttributeError, match=f"{name} of a part of a data set cannot be replaced"):
            setattr(part, name, np.zeros(2, int))
    with pytest.raises(ValueError, match="read-only"):
        part.labels[:] = 0
    with pytest.raises(IndexError):
        part.subset([2])


# What `batch` is told

class Told(Drawn):
    def __init__(self, *, both=True):
        self.told, self.both = [], both
        self.batch = self.both_settings if both else self.any_settings

    def both_settings(self, indices, epoch=None, seed=None):
        self.told.append((epoch, seed))
        return indices, indices

    def any_settings(self, indices, **settings):
        self.told.append((settings.get("epoch"), settings.get("seed")))
        return indices, indices


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_batch_learns_the_epoch_and_the_seed(both, prefetch):
    data = Told(both=both)
    loader = DataLoader(data, 23, seed=5, prefetch=prefetch)
    loader.epoch = 3
    list(loader), list(loader)
    assert data.told == [(3, 5), (4, 5)]
    list(DataLoader(data, 23, prefetch=prefetch, augment=False))
    assert data.told[2:] == [(None, None)]


def test_a_part_is_told_what_its_set_asks_for():
    class Noisy(ImageDataset):
        def batch(self, indices, epoch=None, seed=0):
            images, labels = super().batch(indices, epoch)
            return images + np.float32(seed), labels

    data = Noisy(IMAGES, LABELS, "abc")
    for part in (data, data.take(9), data.take(9).subset([0, 1])):
        plain = ImageDataset(IMAGES, LABELS, "abc").batch([0, 1])[0]
        np.testing.assert_array_equal(next(iter(DataLoader(part, 2, seed=3)))[0], plain + 3)
        np.testing.assert_array_equal(next(iter(DataLoader(part, 2, seed=3, augment=False)))[0], plain)
        images = [next(iter(DataLoader(part, 2)))[0] for _ in range(2)]
        assert not np.array_equal(*images)


@given(st.integers(1, 30), st.integers(0, 3), st.booleans(), st.integers(0, 9), st.integers(0, 4))
def test_augmented_images_depend_on_seed_epoch_and_index_alone(batch_size, prefetch, shuffle, first, epoch):
    def images(batch_size, prefetch, shuffle, first=0):
        loader = DataLoader(Drawn(), batch_size, shuffle, seed=4, prefetch=prefetch)
        loader.epoch = epoch
        return {int(label): image.tolist() for images, labels in loader.batches(first)
                for image, label in zip(images, labels, strict=True)}

    whole, made = images(23, 0, False), images(batch_size, prefetch, shuffle, first)
    assert len(made) == max(0, 23 - first * batch_size)
    assert {index: whole[index] for index in made} == made


def test_random_numbers_of_an_image():
    numbers = {random_generator(*facts).random() for facts in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]}
    assert len(numbers | {np.random.default_rng((0, 0)).random()}) == 6
    one, other = (random_generator(number(3), number(2), number(1)).random() for number in (int, np.int64))
    assert one == other


def test_batches_before_the_first_are_not_made():
    class Counted(Drawn):
        made = 0

        def batch(self, indices):
            Counted.made += 1
            return indices, indices

    whole = [labels.tolist() for _, labels in DataLoader(Counted(), 4, shuffle=True, seed=2)]
    Counted.made = 0
    rest = [labels.tolist() for _, labels in DataLoader(Counted(), 4, shuffle=True, seed=2).batches(first=np.int64(4))]
    assert (rest, Counted.made) == (whole[4:], 2)
    assert list(DataLoader(Counted(), 4).batches(first=6)) == []
    with pytest.raises(ValueError, match="first must be a whole number"):
        DataLoader(Counted(), 4).batches(first=-1)


def test_the_code_of_the_documentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, count in (("cat", 30), ("dog", 10)):
        for i in range(count):
            write_image(tmp_path / "photos" / name / f"{i}.png", rng.integers(0, 256, (70, 80, 3)))
    for i in range(8):
        write_image(tmp_path / "cells" / "image" / f"{i}.png", rng.integers(0, 256, (64, 64)))
        write_image(tmp_path / "cells" / "label" / f"{i}.png", rng.integers(0, 2, (64, 64)) * 255)
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    names = {"np": np, "DataLoader": DataLoader, "ImageDataset": ImageDataset, "random_generator": random_generator}
    for code in text.split("```python\n")[1:]:
        exec(code.partition("```")[0], names)
    images, labels = next(iter(DataLoader(names["Squares"](), 21)))
    assert (images[4].sum(), labels[4]) == (80, 4)
    flipped = names["Flipped"](IMAGES, LABELS, "abc")
    plain, drawn = flipped.batch(range(20))[0], flipped.batch(range(20), epoch=1, seed=2)[0]
    turned = [not np.array_equal(*pair) for pair in zip(plain, drawn, strict=True)]
    assert 0 < sum(turned) < 20
    np.testing.assert_array_equal(drawn[turned], plain[turned][..., ::-1])


def write_image(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


# What is no data set, and what goes wrong

class OfPytorch:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.zeros(3), 0


@pytest.mark.parametrize("other", [OfPytorch(), (IMAGES, LABELS), IMAGES, None, DataLoader(Drawn())],
                         ids=lambda other: type(other).__name__)
def test_what_is_no_data_set_is_refused_at_once(other):
    with pytest.raises(TypeError, match=rf"a .*{type(other).__name__} is not a data set, which has .*batch\(indices\)"):
        DataLoader(other)


def test_a_method_that_batches_would_pass_over_is_refused():
    class Item(Flipped):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return 2 * image, label

    class Both(Item):
        def batch(self, indices):
            return super().batch(indices)

    data = Item(IMAGES, LABELS, "abc")
    for use in (DataLoader, lambda data: data.take(3)):
        with pytest.raises(TypeError, match=r"Item has a `__getitem__` of its own, .* belongs into `batch\(indices\)`"):
            use(data)
    assert len(DataLoader(Both(IMAGES, LABELS, "abc").take(3), 2)) == 2


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_exception_says_which_images(prefetch):
    class Broken(Drawn):
        def batch(self, indices):
            if 7 in indices:
                raise OSError("a damaged file")
            return indices, indices

    with pytest.raises(OSError, match="a damaged file") as caught:
        list(DataLoader(Broken(), 5, prefetch=prefetch))
    assert caught.value.__notes__ == ["while the DataLoader made a batch of the 5 images at 5, 6, 7, 8, 9"]
