"""Training on a data set that augments its images: reproducible, resumed exactly, and evaluated without it."""

import numpy as np
import pytest
import toy_run
from test_resume import assert_same_end, killed_at, saved

from minidl.augment import RandomCrop
from minidl.data import ImageDataset, random_generator
from minidl.io import CheckpointError
from minidl.train.loop import Loop


class Shifted(ImageDataset):
    """Each image is rolled by a random number of pixels; `told` are the epochs it was asked for."""

    def __init__(self):
        digits = toy_run.DIGITS
        super().__init__(digits.images, digits.labels, digits.classes, digits.name, digits.mean, digits.std)
        self.told = set()

    def batch(self, indices, epoch=None, seed=0):
        images, labels = super().batch(indices)
        self.told.add(epoch)
        if epoch is not None:
            for image, index in zip(images, indices, strict=True):
                image[:] = np.roll(image, random_generator(seed, epoch, index).integers(-3, 4, 2), (1, 2))
        return images, labels


def train(folder, **settings):
    """A run on a part of the set, validated on the other."""
    validation_set, train_set = Shifted().split(70, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy_run, "TRAIN_SET", train_set)
        toy_run.train(folder, validation_set=validation_set, test_set=None, **settings)
    return train_set, validation_set


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("minidl.train.records.draw_curves", lambda *_: None)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a run, and its sets."""
    folder = tmp_path_factory.mktemp("augmented")
    return folder, train(folder)


def test_each_epoch_has_other_images_and_evaluation_has_none(uninterrupted):
    _, (train_set, validation_set) = uninterrupted
    assert train_set.told | validation_set.told == {0, 1, 2, None}
    plain = ImageDataset.batch(train_set.dataset, train_set.indices)[0]
    images = [train_set.batch(range(100), **known)[0] for known in (
        {}, {"epoch": 0, "seed": 1}, {"epoch": 1, "seed": 1}, {"epoch": 0, "seed": 2})]
    np.testing.assert_array_equal(images[0], plain)
    assert len({image.tobytes() for image in images}) == 4


@pytest.mark.parametrize("step", [3, 7, 8, 18])
def test_a_run_killed_within_an_epoch_is_resumed_exactly(tmp_path, uninterrupted, step):
    with killed_at(Loop, "step", step):
        train(tmp_path, checkpoint_interval=0)
    train(tmp_path, resume=True)
    assert_same_end(tmp_path, uninterrupted[0])


def test_preparing_ahead_makes_no_difference(tmp_path, uninterrupted):
    train(tmp_path, prefetch=0)
    assert_same_end(tmp_path, uninterrupted[0])


def test_another_seed_makes_one(tmp_path, uninterrupted):
    train(tmp_path, seed=2)
    assert saved(tmp_path, "last.safetensors")[0] != saved(uninterrupted[0], "last.safetensors")[0]


def test_a_transform_is_part_of_the_recipe(tmp_path, monkeypatch):
    """A run with it is killed and resumed exactly; another transform is another run."""
    transform = RandomCrop(28, padding=3)
    monkeypatch.setattr(toy_run, "TRAIN_SET", toy_run.TRAIN_SET.augmented(transform))
    toy_run.train(tmp_path / "whole")
    with killed_at(Loop, "step", 5):
        toy_run.train(tmp_path / "parts", checkpoint_interval=0)
    toy_run.train(tmp_path / "parts", resume=True)
    assert_same_end(tmp_path / "parts", tmp_path / "whole")
    monkeypatch.setattr(toy_run, "TRAIN_SET", toy_run.TRAIN_SET.augmented(RandomCrop(28, padding=2)))
    with pytest.raises(CheckpointError, match=r"transform='RandomCrop.*padding=3\)' \(now 'RandomCrop"):
        toy_run.train(tmp_path / "parts", resume=True)
