"""A data set as a folder, or as an archive that is unpacked once and never outside of its folder."""

import io
import tarfile

import pytest

from minidl.data import DataError, folder_or_archive, unpack


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack.pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "cache"


def archive(path, files, links=()):
    """A tar file with {name: content}, and symbolic links (name, target)."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, target in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_a_folder_is_used_as_it_is(tmp_path):
    (tmp_path / "data" / "pets").mkdir()
    assert folder_or_archive("pets", tmp_path / "data") == tmp_path / "data" / "pets"


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path, cache, monkeypatch, ending):
    path = tmp_path / "data" / f"pets{ending}"
    archive(path, {"pets/cat/1.jpg": b"cat", "./pets/dog/2.jpg": b"dog"})
    folder = folder_or_archive("pets", tmp_path / "data")
    assert folder.is_relative_to(cache)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jpg")} == {
        "cat/1.jpg": b"cat", "dog/2.jpg": b"dog"}
    with monkeypatch.context() as patched:
        patched.setattr(unpack, "extract", None)
        assert folder_or_archive("pets", tmp_path / "data") == folder
    archive(path, {"pets/cat/1.jpg": b"another"})
    again = folder_or_archive("pets", tmp_path / "data")
    assert again != folder
    assert (again / "cat" / "1.jpg").read_bytes() == b"another"
    assert not list((cache / "unpacked").glob(".*"))


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "pets/../../outside.txt", "pets\\..\\x", "C:x"])
def test_names_that_lead_out_are_refused(tmp_path, cache, name):
    archive(tmp_path / "data" / "pets.tar", {"pets/a.jpg": b"a", name: b"bad"})
    with pytest.raises(DataError, match="leads out of the folder"):
        folder_or_archive("pets", tmp_path / "data")
    assert not list(cache.rglob("*.jpg"))
    assert not list(tmp_path.rglob("outside.txt"))


def test_links_are_left_out(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    archive(tmp_path / "data" / "pets.tar", {"pets/a.jpg": b"a", "pets/out/secret": b"changed"},
            [("pets/out", str(tmp_path)), ("pets/b.jpg", str(tmp_path / "secret"))])
    folder = folder_or_archive("pets", tmp_path / "data")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert (folder / "out" / "secret").read_bytes() == b"changed"
    assert not (folder / "b.jpg").exists()


def test_what_cannot_be_unpacked(tmp_path, cache, monkeypatch):
    path = tmp_path / "data" / "pets.tar"
    with pytest.raises(FileNotFoundError, match=r"pets needs the folder pets/ or the archive pets\.tar in .*from X"):
        folder_or_archive("pets", tmp_path / "data", "from X")
    with pytest.raises(FileNotFoundError, match="there is no folder 'nowhere'"):
        folder_or_archive("pets", "nowhere")
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="a damaged archive"):
        folder_or_archive("pets", tmp_path / "data")
    archive(path, {"dogs/a.jpg": b"a"})
    with pytest.raises(DataError, match="there is no folder pets/ in this archive"):
        folder_or_archive("pets", tmp_path / "data")
    archive(path, {"pets/a.jpg": bytes(50_000)})
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(DataError, match="a damaged archive"):
        folder_or_archive("pets", tmp_path / "data")
    archive(path, {"pets/a.jpg": bytes(2000)})
    monkeypatch.setattr(unpack, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="need more room than there is"):
        folder_or_archive("pets", tmp_path / "data")
    assert not list((cache / "unpacked").glob(".*"))
