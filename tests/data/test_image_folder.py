"""Folders of photographs: what is found, decoded, split, cached and reported."""

import errno
import json
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from minidl import data
from minidl.augment import RandomHorizontalFlip
from minidl.data import DataLoader, image_folder, image_splits
from minidl.data.decoding import AHEAD, each
from minidl.data.image_folder import ImageFolder
from minidl.train.fit import describe_data

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


def photo(path, colour=(200, 0, 0), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    """Five red cats, one of them in a folder below, and three green dogs."""
    for i in range(4):
        photo(tmp_path / "photos" / "cat" / f"{i}.png")
    photo(tmp_path / "photos" / "cat" / "more" / "deep" / "4.jpg")
    for i in range(3):
        photo(tmp_path / "photos" / "dog" / f"{i}.png", (0, 100, 0), size=(30 + i, 40))
    return tmp_path / "photos"


def test_a_folder_is_a_data_set(photos):
    dataset = image_folder(photos, 8)
    assert isinstance(dataset, ImageFolder)
    assert dataset.images.shape == (8, 3, 8, 8)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0] * 5 + [1] * 3
    assert [os.path.relpath(path, photos) for path in dataset.paths[:2]] == ["cat/0.png", "cat/1.png"]
    assert dataset.skipped == []
    assert dataset.problems() == ""
    assert dataset.images[0, :, 4, 4].tolist() == [200, 0, 0]
    assert dataset.images[7, :, 4, 4].tolist() == [0, 100, 0]
    values = dataset.images / 255
    np.testing.assert_allclose(dataset.mean, values.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(dataset.std[:2], values.std((0, 2, 3))[:2], rtol=1e-6)
    images, _ = next(iter(DataLoader(dataset, 8)))
    assert images.shape == (8, 3, 8, 8)
    assert abs(images[:, :2].mean()) < 1e-5


def test_size_resize_and_channels(photos):
    Image.fromarray(np.arange(100, dtype=np.uint8).repeat(3).reshape(10, 10, 3)).save(photos / "cat" / "0.png")
    dataset = image_folder(photos, (6, 8), resize=9)
    assert (dataset.images.shape, dataset.take(2).resize) == ((8, 3, 6, 8), 9)
    facts = describe_data(dataset.take(2), {})                           # as the run keeps them, for `minidl predict`
    assert (facts["resize"], facts["input"], facts["mean"]) == (9, (3, 6, 8), dataset.mean)
    grey = image_folder(photos, 10, channels=1)
    assert grey.images.shape == (8, 1, 10, 10)
    np.testing.assert_array_equal(grey.images[0, 0], np.arange(100).reshape(10, 10))
    assert grey.images[1].max() == 60                                   # the brightness of (200, 0, 0)


def test_images_of_all_sizes_and_modes_in_one_set(tmp_path):
    for i, mode in enumerate(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")):
        image = Image.new(mode if mode != "I;16" else "L", (9 + i, 40 - i), 0)
        image = Image.fromarray(np.full((5, 300), 40_000, np.uint16)) if mode == "I;16" else image
        path = tmp_path / "ab"[i % 2] / f"{i}.{'tif' if mode == 'CMYK' else 'png'}"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
    dataset = image_folder(tmp_path, 8)
    assert dataset.images.shape == (8, 3, 8, 8)
    assert dataset.problems() == ""
    assert image_folder(tmp_path, 8, channels=1).images.shape == (8, 1, 8, 8)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("cached", [False, True])
def test_what_cannot_be_read_is_left_out_and_named(photos, tmp_path, workers, cached):
    (photos / "cat" / "1.png").write_bytes(b"")
    (photos / "cat" / "2.png").write_text("not an image")
    whole = (photos / "dog" / "0.png").read_bytes()
    (photos / "dog" / "0.png").write_bytes(whole[:len(whole) // 2])
    (photos / "dog" / "broken.png").symlink_to(photos / "nowhere.png")
    (photos / "dog" / ".hidden.png").write_bytes(b"")
    (photos / "dog" / "notes.txt").write_text("text")
    dataset = image_folder(photos, 8, workers=workers, cache=tmp_path / "cache" if cached else None)
    assert len(dataset) == len(dataset.images) == len(dataset.paths) == 5
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1]
    names = sorted(os.path.basename(path) for path, _ in dataset.skipped)
    assert names == ["0.png", "1.png", "2.png", "broken.png"]
    text = dataset.problems()
    assert text.startswith("photos: 4 of 9 images cannot be read and are left out:\n  ")
    assert "No such file or directory" in text
    for path, error in dataset.skipped:
        assert not error.startswith(path)
    again = image_folder(photos, 8, cache=tmp_path / "cache" if cached else None)
    np.testing.assert_array_equal(again.images, dataset.images)
    assert again.skipped == dataset.skipped


def test_the_cache_is_used_while_the_files_are_the_same(photos, tmp_path):
    cache, calls = tmp_path / "cache", []
    first = image_folder(photos, 8, cache=cache, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (8, 8)
    calls.clear()
    second = image_folder(photos, 8, cache=cache, progress=lambda *c: calls.append(c))
    assert calls == []
    np.testing.assert_array_equal(first.images, second.images)
    assert sorted(path.suffix for path in cache.iterdir()) == [".bin", ".json"]
    os.utime(photo(photos / "cat" / "0.png", (10, 20, 30)), (1, 1))
    third = image_folder(photos, 8, cache=cache, progress=lambda *c: calls.append(c))
    assert calls
    assert third.images[0, :, 0, 0].tolist() == [10, 20, 30]
    assert sorted(path.suffix for path in cache.iterdir()) == [".bin", ".json"]
    image_folder(photos, 9, cache=cache)
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("damage", [lambda facts, images: facts.write_text("{"), lambda facts, images: images.unlink(),
                                    lambda facts, images: images.write_bytes(b"1"),
                                    lambda facts, images: facts.write_text("[]"),
                                    lambda facts, images: facts.write_text(json.dumps(
                                        {**json.loads(facts.read_text()), "faults": {"99": "x"}}))])
def test_a_damaged_cache_is_made_again(photos, tmp_path, damage):
    cache = tmp_path / "cache"
    first = image_folder(photos, 8, cache=cache)
    expected = np.array(first.images)
    facts, = cache.glob("*.json")
    images, = cache.glob("*.bin")
    damage(facts, images)
    np.testing.assert_array_equal(image_folder(photos, 8, cache=cache).images, expected)


def test_an_interruption_leaves_nothing_behind(photos, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        image_folder(photos, 8, cache=tmp_path / "cache", progress=stop)
    assert list((tmp_path / "cache").iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("minidl-decode")]


def test_a_full_disk(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.data.folder_cache.FREE", 1 << 60)
    with pytest.raises(OSError, match=r"MiB are needed for decoded images, and .* MiB are free; give another folder"):
        image_folder(photos, 8, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve a place on the disk")
def test_a_disk_that_fills_up_meanwhile(photos, tmp_path, monkeypatch):
    """The place on the disk is taken before the first image is decoded: what is mapped cannot be refused later."""
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"cache .*cache: No space left on device; give another folder"):
        image_folder(photos, 8, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr("minidl.data.folder_cache.replacing", full)
    with pytest.raises(OSError, match="No space left on device"):
        image_folder(photos, 8, cache=tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.suffix == ".json"] == []
    monkeypatch.undo()
    assert len(image_folder(photos, 8, cache=tmp_path / "cache")) == 8


def test_the_cache_takes_its_place_at_once(photos, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr("minidl.data.decoding.each", lambda paths, *_: sizes.extend(
        path.stat().st_blocks * 512 for path in (tmp_path / "cache").iterdir()) or iter(["unread"] * len(paths)))
    with pytest.raises(ValueError, match="no readable images"):
        image_folder(photos, 64, cache=tmp_path / "cache")
    assert sizes[0] >= 8 * 3 * 64 * 64


def test_a_cache_folder_that_cannot_be_written(photos, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^\[Errno \d+\] cache .*file: File exists; give another folder as `cache`"):
        image_folder(photos, 8, cache=tmp_path / "file")

    def refuse(*arguments, **settings):
        raise PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)
    with pytest.raises(OSError, match=r"cache .*: Permission denied; give another folder as `cache`"):
        image_folder(photos, 8, cache=tmp_path / "locked")


def test_what_killed_processes_left_is_removed(photos, tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for number in (child.pid, os.getpid(), 1):
        (tmp_path / f".images-0.bin.{number}").write_bytes(b"x")
    image_folder(photos, 8, cache=tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("."))
    assert left == sorted([f".images-0.bin.{os.getpid()}", ".images-0.bin.1"])


# Streams

def test_a_stream_has_the_batches_of_a_set_in_memory(photos):
    (photos / "cat" / "1.png").write_bytes(b"x")
    kept, stream = image_folder(photos, 8), image_folder(photos, 8, stream=True)
    assert (stream.mean, stream.std, stream.paths, stream.skipped) == (kept.mean, kept.std, kept.paths, kept.skipped)
    assert repr(stream) == repr(kept)
    flip = RandomHorizontalFlip()
    for a, b in ((kept, stream), (kept.augmented(flip), stream.augmented(flip)), (kept.take(5), stream.take(5)),
                 (kept.subset([6, 1, 1]).take(2), pickle.loads(pickle.dumps(stream.subset([6, 1, 1]).take(2)))),
                 (kept.stratified_split(0.5)[0], stream.stratified_split(0.5)[0])):
        loaders = [DataLoader(part, 3, shuffle=True, seed=1) for part in (a, b)]
        for one, other in zip(*loaders, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
    assert stream.take(5).images.shape == (5, 3, 8, 8)
    np.testing.assert_array_equal(stream.images, kept.images)
    np.testing.assert_array_equal(stream.images[-1], kept.images[-1])
    np.testing.assert_array_equal(stream.images[1:3], kept.images[1:3])
    assert image_splits(photos, 8, validation=0.4, stream=True).validation.batch([0, 1])[0].shape == (2, 3, 8, 8)


def test_a_stream_decodes_only_what_is_asked_for(photos, monkeypatch):
    stream = image_folder(photos, 8, stream=True)
    read = []
    monkeypatch.setattr(sys.modules["minidl.data.image_folder"], "read_image", lambda path, channels: read.append(
        path) or Image.new("RGB", (9, 9)))
    stream.take(3).batch([2])
    assert read == [stream.paths[2]]


def test_a_stream_whose_file_is_gone(photos):
    stream = image_folder(photos, 8, stream=True)
    os.unlink(stream.paths[3])
    with pytest.raises(ValueError, match=r"3\.png: can no longer be read: No such file"):
        list(DataLoader(stream, 4))
    with pytest.raises(ValueError, match="stream=True keeps no images, and needs no cache"):
        image_folder(photos, 8, stream=True, cache="cache")


def test_few_decoded_images_wait(photos):
    """However many files there are, and however slowly they are taken."""
    waiting, most = set(), []

    def decode(path):
        waiting.add(path)
        return path

    for path in each([str(i) for i in range(1000)], decode, 2):
        most.append(len(waiting))
        waiting.remove(path)
    assert max(most) <= 2 * AHEAD + 2


def test_splits_made_here_keep_the_proportions(photos):
    for i in range(20):
        photo(photos / "dog" / f"x{i}.png")
    parts = image_splits(photos, 8, validation=0.2, seed=1)
    assert parts.test is None
    assert np.bincount(parts.train.labels).tolist() == [4, 18]
    assert np.bincount(parts.validation.labels).tolist() == [1, 5]
    assert parts.train.mean == parts.validation.mean
    again = image_splits(photos, 8, validation=0.2, seed=1)
    assert again.validation.indices.tolist() == parts.validation.indices.tolist()
    other = image_splits(photos, 8, validation=0.2, seed=2)
    assert other.validation.indices.tolist() != parts.validation.indices.tolist()
    assert image_splits(photos, 8, validation=0).validation is None


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_splits_that_are_folders(photos, tmp_path, name):
    root = tmp_path / "parts"
    root.mkdir()
    photos.rename(root / "train")
    photo(root / name / "cat" / "a.png")
    photo(root / name / "dog" / "a.png")
    parts = image_splits(root, 8)
    assert [len(parts.train), len(parts.validation)] == [8, 2]
    assert parts.validation.mean == parts.train.mean
    assert parts.test is None
    photo(root / "test" / "cat" / "b.png")
    photo(root / "test" / "dog" / "b.png", (1, 2, 3))
    assert len(image_splits(root, 8).test) == 2


def test_the_classes_are_those_of_training(photos, tmp_path):
    root = tmp_path / "parts"
    root.mkdir()
    photos.rename(root / "train")
    photo(root / "val" / "cat" / "a.png")
    with pytest.raises(ValueError, match=r"'.*val' has no readable images of the class 'dog'"):
        image_splits(root, 8)


@pytest.mark.parametrize(("arrange", "words"), [
    (lambda root: None, r"has no folders; a classifier needs at least two folders"),
    (lambda root: photo(root / "cat" / "1.png"), r"has only the class 'cat'; a classifier needs at least two"),
    (lambda root: (photo(root / "cat" / "1.png"), (root / "dog").mkdir(), (root / "eel").mkdir()),
     r"has no readable images of the classes 'dog', 'eel'; remove the empty folder, or add images"),
    (lambda root: (photo(root / "cat" / "1.png"), photo(root / "dog" / "1.png").write_bytes(b"")),
     r"has no readable images of the class 'dog'; .*\n  .*dog.1.png: "),
    (lambda root: photo(root / "1.png"), r"has no folders"),
])
def test_folders_without_enough_images(tmp_path, arrange, words):
    root = tmp_path / "photos"
    root.mkdir()
    arrange(root)
    with pytest.raises(ValueError, match=words):
        image_folder(root, 8)


def test_bad_arguments(photos):
    with pytest.raises(FileNotFoundError, match=r"^image_folder: '.*nowhere' is missing; it must hold one folder"):
        image_folder(photos / "nowhere", 8)
    with pytest.raises(NotADirectoryError, match=r"is not a folder; it must hold one folder of images for each class"):
        image_folder(photos / "cat" / "0.png", 8)
    for size in (0, 2.5, (1, 2, 3), "8", True):
        with pytest.raises(ValueError, match=r"^image_folder: size="):
            image_folder(photos, size)
    with pytest.raises(ValueError, match=r"resize=7 must be a whole number of at least 8"):
        image_folder(photos, (6, 8), resize=7)
    with pytest.raises(ValueError, match=r"channels=4 must be 1"):
        image_folder(photos, 8, channels=4)
    with pytest.raises(ValueError, match=r"^image_splits: validation=1 must be"):
        image_splits(photos, 8, validation=1)


def test_links_in_circles(photos):
    (photos / "cat" / "again").symlink_to(photos / "cat")
    (photos / "all").symlink_to(photos)
    (photos / "above").symlink_to(photos.parent)
    (photos / "loop").symlink_to(photos / "loop")
    (photos / "cat" / "same.png").symlink_to(photos / "cat" / "0.png")
    dataset = image_folder(photos, 8)
    assert len(dataset) == 8
    assert dataset.classes == ("cat", "dog")


def test_a_class_may_be_a_link_to_a_folder_elsewhere(photos, tmp_path):
    (photos / "dog").rename(tmp_path / "dogs")
    (photos / "dog").symlink_to(tmp_path / "dogs")
    assert image_folder(photos, 8).labels.tolist() == [0] * 5 + [1] * 3


@pytest.mark.skipif(is_root, reason="root may read everything")
def test_a_folder_that_cannot_be_read(photos):
    (photos / "cat" / "more").chmod(0)
    try:
        dataset = image_folder(photos, 8)
    finally:
        (photos / "cat" / "more").chmod(0o700)
    assert len(dataset) == 7
    assert "Permission denied" in dataset.problems()


def test_a_part_of_one_image_is_the_same_image(photos):
    part = image_folder(photos, 8).subset([6, 0])
    assert part.paths[6].endswith("1.png")
    assert data.ImageDataset.batch(part, [0])[1].tolist() == [1]
