"""CIFAR-10 and CIFAR-100 from handmade files, and CIFAR-10 from the real ones if they are present."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minidl.data import DataError, DownloadError, archive, cifar, cifar100, load
from minidl.io import download

RNG = np.random.default_rng(0)
FILES = cifar.CIFAR10.versions[0].files
FOLDER = "cifar-10-batches-py"
IMAGES = {name: RNG.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8) for names in FILES.values() for name in names}
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
    (root / FOLDER).mkdir()
    for name in IMAGES:
        (root / FOLDER / name).write_bytes(changes.get(name, python_2(name)))


def write_archive(path, mode, contents, folder=FOLDER):
    with tarfile.open(path, mode) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def offline(monkeypatch):
    def refuse(url):
        raise ConnectionError("no network here")
    monkeypatch.setattr(download, "_await_answer", refuse)


def assert_read(root):
    for split, names in FILES.items():
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
    "labels of text": (batch("test_batch", labels=["a", "b", "c"]), "not whole numbers, one for each image"),
    "nothing": (batch("test_batch", data=np.zeros((0, 3072), np.uint8), labels=[]), "not whole numbers"),
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


def test_oversized_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "CIFAR10", cifar.CIFAR10._replace(largest=1000))
    path = tmp_path / "cifar-10-python.tar"
    write_archive(path, "w:", {"readme": b"x" * 1001, "test_batch": b"x" * 1000})
    with pytest.raises(DataError, match=r"tar: 'cifar-10-batches-py/readme' has 1,001 bytes, more than a file"):
        load("cifar10", "test", root=tmp_path)
    write_folder(tmp_path)
    with pytest.raises(DataError, match=r"test_batch: [0-9,]+ bytes are more than this file can have"):
        load("cifar10", "test", root=tmp_path)


def test_an_endless_header_is_not_read(tmp_path, monkeypatch):
    """A packed archive may say that the name of a file has gigabytes."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    with gzip.open(tmp_path / "cifar-10-python.tar.gz", "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + b"a" * 5000)
    with pytest.raises(DataError, match=r"tar\.gz: 8,589,934,592 bytes are more than a file in it can have"):
        load("cifar10", "test", root=tmp_path)


def test_what_archives_should_not_hold_is_passed_over(tmp_path, monkeypatch):
    path = tmp_path / "data" / "cifar-10-python.tar"
    path.parent.mkdir()
    secret = tmp_path / "test_batch"
    secret.write_bytes(python_2("data_batch_1"))
    strange = [("../test_batch", tarfile.REGTYPE, ""), ("/test_batch", tarfile.REGTYPE, ""),
               (f"{FOLDER}/test_batch", tarfile.SYMTYPE, str(secret)),
               (f"{FOLDER}/test_batch", tarfile.LNKTYPE, str(secret)), ("test_batch", tarfile.CHRTYPE, ""),
               ("test_batch", tarfile.FIFOTYPE, ""), ("test_batch", tarfile.DIRTYPE, "")]
    with tarfile.open(path, "w") as tar:
        for name, kind, link in strange:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            if kind == tarfile.REGTYPE:
                member.size = len(python_2("data_batch_2"))
                tar.addfile(member, io.BytesIO(python_2("data_batch_2")))
            else:
                tar.addfile(member)
        before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="does not hold test_batch"):
        load("cifar10", "test", root=path.parent)
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo(f"{FOLDER}/test_batch")
        member.size = len(python_2("test_batch"))
        tar.addfile(member, io.BytesIO(python_2("test_batch")))
    np.testing.assert_array_equal(load("cifar10", "test", root=path.parent).images, IMAGES["test_batch"])
    assert sorted(tmp_path.rglob("*")) == before                         # nothing is unpacked to the disk
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(DataError, match="it has more than 3 files"):
        load("cifar10", "test", root=path.parent)


# Other versions

def records(name):
    """A file of the binary version."""
    labels = np.array(LABELS[name], np.uint8)[:, None]
    return np.concatenate([labels, IMAGES[name].reshape(3, -1)], axis=1).tobytes()


@pytest.mark.parametrize("packing", ["folder", "", "gz", "xz"])
def test_the_binary_version_is_read(tmp_path, offline, packing):
    contents = {f"{name}.bin": records(name) for name in IMAGES}
    if packing == "folder":
        (tmp_path / "cifar-10-batches-bin").mkdir()
        for name, content in contents.items():
            (tmp_path / "cifar-10-batches-bin" / name).write_bytes(content)
    else:
        path = tmp_path / f"cifar-10-binary.tar{'.' * bool(packing)}{packing}"
        write_archive(path, f"w:{packing}", contents, "cifar-10-batches-bin")
    assert_read(tmp_path)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "0 bytes are no whole number of records of 3073 bytes"), (b"1" * 3072, "3,072 bytes are no whole"),
    (bytes([10]) + b"1" * 3072, "its labels must be whole numbers from 0 to 9, but go from 10 to 10")])
def test_damaged_records_are_refused(tmp_path, content, words):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(content)
    with pytest.raises(DataError, match=rf"test_batch\.bin: {words}"):
        load("cifar10", "test", root=tmp_path)


COARSE, FINE = [4, 0, 19], [0, 99, 50]


def hundred(version, split="test", **changes):
    """{path: content} of a file of CIFAR-100."""
    images = IMAGES["test_batch"].reshape(3, -1)
    if version == "binary":
        labels = np.array([COARSE, FINE], np.uint8).T
        return {f"cifar-100-binary/{split}.bin": np.concatenate([labels, images], axis=1).tobytes()}
    value = {b"data": images, b"fine_labels": FINE, b"coarse_labels": COARSE, b"filenames": [b"a.png"] * 3}
    value |= {key.encode(): item for key, item in changes.items()}
    return {f"cifar-100-python/{split}": pickle.dumps(value, 2)}


@pytest.mark.parametrize("version", ["python", "binary"])
@pytest.mark.parametrize("packed", [False, True])
def test_cifar100(tmp_path, offline, version, packed):
    files = hundred(version) | hundred(version, "train")
    if packed:
        write_archive(tmp_path / f"cifar-100-{version}.tar.bz2", "w:bz2", files, ".")
    else:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    for split in ("train", "test"):
        fine, coarse = load("cifar100", split, root=tmp_path), cifar100(tmp_path, split, coarse=True)
        for dataset, labels, count in ((fine, FINE, 100), (coarse, COARSE, 20)):
            np.testing.assert_array_equal(dataset.images, IMAGES["test_batch"])
            assert dataset.labels.tolist() == labels
            assert len(set(dataset.classes)) == count
    assert [fine.classes[label] for label in FINE] == ["apple", "worm", "mouse"]
    assert [coarse.classes[label] for label in COARSE] == ["fruit_and_vegetables", "aquatic_mammals", "vehicles_2"]
    assert (fine.name, coarse.name) == ("CIFAR-100 test", "CIFAR-100 test, superclasses")


@pytest.mark.parametrize(("changes", "words"), [
    ({"fine_labels": [0, 1, 100]}, "from 0 to 99, but go from 0 to 100"),
    ({"coarse_labels": [0, 1, 20]}, "from 0 to 19, but go from 0 to 20"),
    ({"coarse_labels": [0, 1]}, r"labels \(2,\), \(3,\), not \(N, 3072\)")])
def test_damaged_cifar100_is_refused(tmp_path, offline, changes, words):
    (tmp_path / "cifar-100-python").mkdir()
    path = tmp_path / "cifar-100-python" / "test"
    path.write_bytes(hundred("python", **changes)["cifar-100-python/test"])
    with pytest.raises(DataError, match=words):
        load("cifar100", "test", root=tmp_path)
    path.write_bytes(batch("test_batch"))
    with pytest.raises(DataError, match=r"no entry 'coarse_labels' and 'fine_labels'; this is CIFAR-10[)]"):
        load("cifar100", "test", root=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"CIFAR-100 \(train\) needs cifar-100-python.tar.gz, or train in"):
        load("cifar100", "train", root=tmp_path, download=False)


PUBLISHED = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e",
}


@pytest.mark.slow
def test_real_files_match_their_checksums_and_statistics():
    root = Path(os.environ.get("MINIDL_DATA", "."))
    found = [cifar.find(cifar.CIFAR10, root, split) for split in FILES]
    if None in found:
        pytest.skip("$MINIDL_DATA is not a folder with CIFAR-10")
    contents = [file for _, files in found for file in files]
    for (place, content), md5 in zip(contents, PUBLISHED.values(), strict=True):
        assert hashlib.md5(content).hexdigest() == md5, place
    images, labels = zip(*(cifar.read_pickled(*file, ["labels"]) for file in contents), strict=True)
    images = [each.reshape(-1, 3, 32, 32) for each in images]
    train, test = np.concatenate(labels[:5])[:, 0], labels[5][:, 0]
    assert np.bincount(train).tolist() == [5000] * 10
    assert np.bincount(test).tolist() == [1000] * 10
    sums = np.mean([batch.mean((0, 2, 3)) for batch in images[:5]], axis=0) / 255
    squares = np.mean([np.square(batch, dtype=np.float32).mean((0, 2, 3)) for batch in images[:5]], axis=0) / 255**2
    np.testing.assert_allclose(sums, cifar.CIFAR10.mean, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(squares - sums**2), cifar.CIFAR10.std, atol=1e-4)
