"""CIFAR-10 from handmade files, and from the real ones if they are present."""

import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minidl.data import DataError, DownloadError, cifar, load
from minidl.io import download

RNG = np.random.default_rng(0)
IMAGES = {name: RNG.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8) for names in cifar.BATCHES.values()
          for name in names}
LABELS = {name: RNG.integers(0, 10, 3).tolist() for name in IMAGES}


def python_2(name):
    """A batch in the format of Python 2: byte strings, and NumPy's old names."""
    def text(value):
        return b"U" + bytes([len(value)]) + value.encode()
    raw = IMAGES[name].tobytes()
    minus_one = b"J\xff\xff\xff\xff"
    dtype = (b"cnumpy\ndtype\n(" + text("u1") + b"K\x00K\x01tR(K\x03" + text("|") + b"NNN" + minus_one + minus_one
             + b"K\x00tb")
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text("b") + b"tR"
    array = (made + b"(K\x01(K\x03M\x00\x0ct" + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb")
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in LABELS[name]) + b"e"
    return (b"\x80\x02}(" + text("batch_label") + text("a batch") + text("labels") + labels + text("data") + array
            + text("filenames") + b"](" + text("a.png") + b"eu.")


def batch(name, protocol=4, **changes):
    """A batch in the format of Python 3."""
    value = {b"data": IMAGES[name].reshape(3, -1), b"labels": LABELS[name], b"filenames": [b"a.png"]} | {
        key.encode(): value for key, value in changes.items()}
    return pickle.dumps(value, protocol)


def write_folder(root, **changes):
    """A root with all batches unpacked; `changes` are contents by name."""
    (root / cifar.FOLDER).mkdir()
    for name in IMAGES:
        (root / cifar.FOLDER / name).write_bytes(changes.get(name, python_2(name)))


def write_archive(path, mode, contents):
    with tarfile.open(path, mode) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def offline(monkeypatch):
    def refuse(url):
        raise ConnectionError("no network here")
    monkeypatch.setattr(download, "_await_answer", refuse)


def assert_read(root):
    for split, names in cifar.BATCHES.items():
        data = load("cifar10", split, root=root)
        np.testing.assert_array_equal(data.images, np.concatenate([IMAGES[name] for name in names]))
        np.testing.assert_array_equal(data.labels, np.concatenate([LABELS[name] for name in names]))
        assert data.classes[5] == "dog"


def test_unpacked_folder_is_read(tmp_path, offline):
    write_folder(tmp_path)
    assert_read(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_written_by_python_3_are_read(tmp_path, protocol):
    write_folder(tmp_path, **{name: batch(name, protocol) for name in IMAGES})
    assert_read(tmp_path)


@pytest.mark.parametrize("packing", ["", "gz", "xz", "bz2"])
def test_archive_is_read(tmp_path, offline, packing):
    path = tmp_path / f"cifar-10-python.tar{'.' * bool(packing)}{packing}"
    write_archive(path, f"w:{packing}", {"readme.html": b"", **{name: python_2(name) for name in IMAGES}})
    assert_read(tmp_path)


def test_offline_error_says_which_files_are_needed(tmp_path, offline):
    with pytest.raises(DownloadError, match=r"(?s)no network here.*needs cifar-10-python\.tar\.gz, or test_batch in "
                                            r"cifar-10-batches-py, in .*by hand"):
        load("cifar10", "test", root=tmp_path)
    with pytest.raises(FileNotFoundError, match="download=True fetches it"):
        load("cifar10", "test", root=tmp_path, download=False)
    with pytest.raises(ValueError, match="train, test, not 'valid'"):
        load("cifar10", "valid")


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


DAMAGED = {
    "a program": (pickle.dumps({"data": Harm()}), "asks for"),
    "text": (b"hello", "damaged pickle"),
    "truncated": (python_2("test_batch")[:5000], "damaged pickle"),
    "no data": (pickle.dumps({"labels": [1]}), "it has no entry 'data'"),
    "CIFAR-100": (pickle.dumps({"data": [], "fine_labels": []}),
                  "no entry 'labels'; this is CIFAR-100"),
    "a list": (pickle.dumps([1]), "not a batch"),
    "data of text": (pickle.dumps({"data": "x", "labels": [1]}), "not a batch"),
    "floats": (batch("test_batch", data=np.zeros((3, 3072), np.float32)), "numbers of the type 'f4', not bytes"),
    "other images": (batch("test_batch", data=np.zeros((3, 784), np.uint8)), r"holds images \(3, 784\)"),
    "too few labels": (batch("test_batch", labels=[1, 2]), r"labels \(2,\)"),
    "a label out of range": (batch("test_batch", labels=[1, 2, 10]), "from 0 to 9"),
    "ragged labels": (batch("test_batch", labels=[1, [2], 3]), "not a batch"),
    "labels of text": (batch("test_batch", labels=["a", "b", "c"]), "from 0 to 9"),
    "nothing": (batch("test_batch", data=np.zeros((0, 3072), np.uint8), labels=[]), "from 0 to 9"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_batch_is_refused(tmp_path, monkeypatch, content, reason):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path, test_batch=content)
    with pytest.raises(DataError, match=rf"test_batch: .*{reason}"):
        load("cifar10", "test", root=tmp_path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(("content", "reason"), [
    ("<!DOCTYPE html>", "not an archive; it is a web page"), ("version https://git-lfs", "not an archive; .* Git LFS"),
    ("", "a damaged archive")])
def test_what_is_in_the_place_of_the_archive_is_named(tmp_path, content, reason):
    (tmp_path / "cifar-10-python.tar.gz").write_text(content)
    with pytest.raises(DataError, match=rf"tar\.gz: {reason}"):
        load("cifar10", "test", root=tmp_path)


def test_folder_in_the_place_of_the_archive_is_named(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").mkdir()
    with pytest.raises(DataError, match=r"tar\.gz: this is a folder, not a file"):
        load("cifar10", "test", root=tmp_path)


def test_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_archive(path, "w:gz", {name: python_2(name) for name in IMAGES})
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"hello", b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"tar\.gz: a damaged archive"):
            load("cifar10", "test", root=tmp_path)
    write_archive(path, "w:gz", {"data_batch_1": python_2("data_batch_1")})
    with pytest.raises(DataError, match="does not hold test_batch"):
        load("cifar10", "test", root=tmp_path)


def test_oversized_batch_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MAX_SIZE", 1000)
    write_folder(tmp_path)
    with pytest.raises(DataError, match="more than a batch"):
        load("cifar10", "test", root=tmp_path)


PUBLISHED = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e",
}


@pytest.mark.slow
def test_real_files_match_their_checksums_and_statistics():
    root = Path(os.environ.get("MINIDL_DATA", "."))
    contents = cifar.find(root, list(PUBLISHED))
    if contents is None:
        pytest.skip("$MINIDL_DATA is not a folder with CIFAR-10")
    for (place, content), md5 in zip(contents, PUBLISHED.values(), strict=True):
        assert hashlib.md5(content).hexdigest() == md5, place
    images, labels = zip(*(cifar.read_batch(*found) for found in contents), strict=True)
    train, test = np.concatenate(labels[:5]), labels[5]
    assert np.bincount(train).tolist() == [5000] * 10
    assert np.bincount(test).tolist() == [1000] * 10
    sums = np.mean([batch.mean((0, 2, 3)) for batch in images[:5]], axis=0) / 255
    squares = np.mean([np.square(batch, dtype=np.float32).mean((0, 2, 3)) for batch in images[:5]], axis=0) / 255**2
    np.testing.assert_allclose(sums, cifar.MEAN, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(squares - sums**2), cifar.STD, atol=1e-4)
