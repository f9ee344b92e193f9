"""MNIST and Fashion-MNIST from handmade files, and from the real ones if they are present."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes, write_pair

from minidl.data import DataError, DownloadError, ImageDataset, load, read_idx, vision
from minidl.io import download

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)
FOLDERS = {"mnist": "MNIST", "fashion": "FashionMNIST"}


@pytest.fixture
def offline(monkeypatch):
    """Every request fails; returns the list of requested URLs."""
    requested = []

    def refuse(url):
        requested.append(url)
        raise ConnectionError("no network here")

    monkeypatch.setattr(download, "_await_answer", refuse)
    return requested


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
@pytest.mark.parametrize("name", FOLDERS)
def test_existing_files_are_read(tmp_path, offline, name, split, prefix, packed):
    write_pair(tmp_path / FOLDERS[name] / "raw", prefix, IMAGES, LABELS, packed)
    data = load(name, split, root=tmp_path)
    np.testing.assert_array_equal(data.images, IMAGES[:, None])
    np.testing.assert_array_equal(data.labels, LABELS)
    assert len(data.classes) == 10
    assert offline == []


def test_root_is_read_from_the_environment(tmp_path, monkeypatch):
    write_pair(tmp_path / "MNIST" / "raw", "train", IMAGES, LABELS)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert len(load("mnist")) == 6


def test_offline_error_comes_after_the_first_file_and_names_all(tmp_path, offline):
    with pytest.raises(DownloadError) as caught:
        load("mnist", root=tmp_path)
    message = str(caught.value)
    for part in (*vision.MNIST.mirrors, "no network here", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        assert part in message
    assert str(tmp_path / "MNIST" / "raw") in message
    assert len(offline) == 2
    assert os.listdir(tmp_path) == []


def test_download_false_makes_no_request(tmp_path, offline):
    write_pair(tmp_path / "MNIST" / "raw", "train", IMAGES, LABELS)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"needs train-images-idx3-ubyte\.gz in "):
        load("mnist", root=tmp_path, download=False)
    assert offline == []


def test_missing_files_are_downloaded(tmp_path, monkeypatch):
    contents = write_pair(tmp_path / "server", "train", IMAGES, LABELS)
    published = {name.removesuffix(".gz"): hashlib.md5(data).hexdigest() for name, data in contents.items()}
    calls = []

    def fetch(name, urls, checksum, folder):
        calls.append((name, urls[0], checksum))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents[name])

    monkeypatch.setattr(vision, "fetch", fetch)
    monkeypatch.setattr(vision, "MNIST", vision.MNIST._replace(md5=published))
    assert len(load("mnist", root=tmp_path)) == 6
    assert calls == [(n, vision.MNIST.mirrors[0] + n, f"md5:{published[n.removesuffix('.gz')]}") for n in contents]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:, :27], LABELS, r"images-idx3-ubyte.gz: .*\(6, 27, 28\)"),
        (IMAGES[:0], LABELS[:0], r"images-idx3-ubyte.gz: .*\(0, 28, 28\)"),
        (IMAGES[:, 0], LABELS, "images-idx3-ubyte.gz: .*2 dimensions instead of 3"),
        (IMAGES, LABELS[:5], "labels-idx1-ubyte.gz: 5 labels for the 6 images"),
        (IMAGES, LABELS + 1, "labels-idx1-ubyte.gz: holds the label 10"),
    ],
)
def test_mismatched_files_are_refused(tmp_path, images, labels, message):
    write_pair(tmp_path / "MNIST" / "raw", "train", images, labels)
    with pytest.raises(DataError, match=message):
        load("mnist", root=tmp_path)


def test_uncompressed_file_is_preferred(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    write_pair(folder, "train", IMAGES, LABELS)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS[::-1]))
    np.testing.assert_array_equal(load("mnist", root=tmp_path).labels, LABELS[::-1])


@pytest.mark.parametrize("name", FOLDERS)
def test_unknown_split_and_unknown_name_are_refused(name):
    with pytest.raises(ValueError, match="train, test, not 'valid'"):
        load(name, "valid")
    with pytest.raises(ValueError, match="'cifar'; there are mnist, fashion, cifar10, cifar100, digits"):
        load("cifar")


def test_load_digits():
    assert isinstance(load("digits", "test"), ImageDataset)


@pytest.mark.parametrize("name", FOLDERS)
def test_real_files_match_their_checksums_and_statistics(name):
    root = os.environ.get("MINIDL_DATA")
    folder = Path(root or ".", FOLDERS[name], "raw")
    if root is None or not folder.is_dir():
        pytest.skip(f"$MINIDL_DATA is not a folder with {FOLDERS[name]}/raw")
    train, test = load(name, "train", download=False), load(name, "test", download=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    source = {"mnist": vision.MNIST, "fashion": vision.FASHION}[name]
    for file, md5 in source.md5.items():
        packed = folder / f"{file}.gz"
        assert not packed.exists() or hashlib.md5(packed.read_bytes()).hexdigest() == md5
    pixels = train.images / np.float32(255)
    assert abs(pixels.mean() - train.mean[0]) < 1e-4
    assert abs(pixels.std() - train.std[0]) < 1e-4
    mnist_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(test.labels).tolist() == (mnist_counts if name == "mnist" else [1000] * 10)


@pytest.mark.parametrize("layout", [
    lambda raw, name: raw / name / name,                                    # Kaggle's archive
    lambda raw, name: raw / name.replace("-idx", ".idx"),
    lambda raw, name: raw / f"{name.replace('-idx', '.idx')}.gz",
], ids=["in folders", "a dot", "a dot, packed"])
def test_other_usual_names_are_found(tmp_path, offline, layout):
    raw = tmp_path / "MNIST" / "raw"
    for name, content in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        path = layout(raw, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(idx_bytes(content)) if path.suffix == ".gz" else idx_bytes(content))
    np.testing.assert_array_equal(load("mnist", root=tmp_path).labels, LABELS)
    assert offline == []


@pytest.mark.parametrize("place", ["", "MNIST"])
def test_files_in_the_wrong_folder_are_mentioned(tmp_path, offline, place):
    write_pair(tmp_path / place, "train", IMAGES, LABELS)
    with pytest.raises(DownloadError, match=rf"raw \(such files are in {tmp_path / place}: move them\): put them"):
        load("mnist", root=tmp_path)


def test_a_folder_in_the_place_of_a_file_is_missing_or_refused(tmp_path, offline):
    raw = tmp_path / "MNIST" / "raw"
    write_pair(raw, "train", IMAGES, LABELS)
    (raw / "train-images-idx3-ubyte.gz").unlink()
    (raw / "train-images-idx3-ubyte").mkdir()
    with pytest.raises(FileNotFoundError, match=r"needs train-images-idx3-ubyte\.gz in "):
        load("mnist", root=tmp_path, download=False)
    with pytest.raises(DataError, match="raw: this is a folder, not a file"):
        read_idx(raw)


@pytest.mark.parametrize("name", [*FOLDERS, "cifar10", "cifar100", "digits"])
@pytest.mark.parametrize("download", [True, False])
def test_a_root_that_is_not_there_is_refused(tmp_path, monkeypatch, offline, name, download):
    """Named in the call or in the environment; no request is made, and no folder."""
    with pytest.raises(FileNotFoundError, match=r"but there is no folder '.*typo'; make it"):
        load(name, root=tmp_path / "typo", download=download)
    with pytest.raises(FileNotFoundError, match="but there is no folder ''; make it"):
        load(name, root="", download=download)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file' is not a folder"):
        load(name, root=str(tmp_path / "file"), download=download)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "typo"))
    if name != "digits":                         # which need no folder, and did not ask for this one
        with pytest.raises(FileNotFoundError, match=r"no folder '.*typo' \(\$MINIDL_DATA\)"):
            load(name, download=download)
    assert (offline, os.listdir(tmp_path)) == ([], ["file"])
