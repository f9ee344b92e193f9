"""Files written by `replacing`: complete or not at all, whatever goes wrong."""

import errno
import os
import re

import pytest

from minidl.io import replacing
from minidl.io.atomic import sweep


def test_the_file_appears_when_the_block_ends(tmp_path):
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_error_in_the_block_keeps_the_old_file(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")
    writing = replacing(tmp_path / "a")
    writing.__enter__().write(b"half of the n")
    assert not writing.__exit__(type(error), error, None)            # the error is raised again
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk_keeps_the_old_file_and_is_reported(tmp_path, monkeypatch, function):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, function, full)
    message = re.escape(f"cannot write {tmp_path / 'a'}: No space left on device; the previous file is kept")
    with pytest.raises(OSError, match=message) as caught, replacing(tmp_path / "a") as file:
        file.write(b"new")
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_error_of_a_real_full_device(tmp_path, monkeypatch):
    """Every write to /dev/full fails: the system itself raises the error when the buffer is flushed."""
    monkeypatch.setattr("pathlib.Path.open", lambda self, mode: open("/dev/full", "wb"))  # noqa: SIM115  (replacing does)
    with pytest.raises(OSError, match=r"cannot write .*a: No space left on device$"), replacing(tmp_path / "a") as file:
        file.write(b"new")


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*: there is no folder .*nowhere$"), replacing(
            tmp_path / "nowhere" / "a"):
        pass


def test_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match=r"cannot write .*b: Not a directory$"), replacing(tmp_path / "a" / "b"):
        pass


def test_path_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*: Is a directory$"), replacing(tmp_path) as file:
        file.write(b"")
    assert tmp_path.is_dir()


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_impossible_names_are_refused(name):
    with pytest.raises(ValueError, match="is not the name of a file"), replacing(name):
        pass


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_folders_without_a_name_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError, match=rf"cannot write {name}: Is a directory"), replacing(name):
        pass


def test_longest_possible_name(tmp_path):
    with replacing(tmp_path / ("x" * 255)) as file:
        file.write(b"new")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with replacing(tmp_path / "pipe") as file:
        file.write(b"new")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]


def test_sweep_removes_only_temporary_files(tmp_path):
    for name in (".a.0f.part", "a", ".hidden", "b.part"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "a", "b.part"]
