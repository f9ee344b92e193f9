"""Photographs are found by name, folder and pattern: each once, without the hidden ones, whatever cannot be reached."""

import os
from pathlib import Path

import pytest

from minidl.io.find import Photograph, photographs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current directory, with photographs in two folders."""
    monkeypatch.chdir(tmp_path)
    for name in ("p/b.png", "p/a.JPG", "p/notes.txt", "p/below/c.tif", "p/below/deep/d.jpg"):
        touch(name)
    return tmp_path


def touch(name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).touch()


def found(*arguments):
    return [path.replace(os.sep, "/") for path, error in photographs(arguments) if not error]


ALL = ["p/a.JPG", "p/b.png", "p/below/c.tif", "p/below/deep/d.jpg"]


@pytest.mark.parametrize(("argument", "expected"), [
    ("p", ALL), ("p/", ALL), ("./p", [f"./{name}" for name in ALL]), (".", ALL), ("p/b.png", ["p/b.png"]),
    ("p/*", ["p/a.JPG", "p/b.png", "p/notes.txt"]), ("p/*.png", ["p/b.png"]), ("p/[ab].*", ["p/a.JPG", "p/b.png"]),
    ("p/**/*.jpg", ["p/below/deep/d.jpg"]), ("**/c.tif", ["p/below/c.tif"]), ("p/**/deep/*", ["p/below/deep/d.jpg"]),
    ("p/*/*", ["p/below/c.tif"]), ("p/**", [*ALL, "p/notes.txt"]), ("**/**/?.png", ["p/b.png"]),
    ("p/b*/../b.png", ["p/below/../b.png"]),
    ("nothing", ["nothing"]), ("p/*.gif", ["p/*.gif"]), ("", [""]), ("p/\0", ["p/\0"]), ("x" * 5000, ["x" * 5000]),
])
def test_arguments(argument, expected):
    assert found(argument) == expected


def test_absolute_pattern(tmp_path):
    assert found(f"{tmp_path}/p/**/*.png") == [f"{tmp_path}/p/b.png".replace(os.sep, "/")]


def test_name_with_brackets_is_a_file_first():
    touch("[b].png")
    assert found("[b].png") == ["[b].png"]


HIDDEN = [".hidden.jpg", "._a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "__MACOSX/a.jpg", ".git/a.jpg",
          "@eaDir/a.jpg", "Thumbs.db", "desktop.ini", ".DS_Store"]


@pytest.mark.parametrize("pattern", ["p", "p/*.*", "p/**/*.jpg", "p/**", "p/*/*.jpg"])
def test_hidden_files_are_left_alone(pattern):
    before = found(pattern)
    for name in HIDDEN:
        touch(f"p/{name}")
        if "/" in name or name.startswith("."):
            touch(f"p/below/{name}")
    assert [name for name in found(pattern) if not name.endswith((".db", ".ini"))] == before


def test_hidden_files_that_are_named_are_found():
    for name in HIDDEN[:4]:
        touch(f"p/{name}")
    assert found("p/.hidden.jpg", "p/.ipynb_checkpoints") == ["p/.hidden.jpg", "p/.ipynb_checkpoints/a-checkpoint.jpg"]
    assert found("p/.*.jpg") == ["p/._a.jpg", "p/.hidden.jpg"]
    assert found("p/.ipynb*/*.jpg") == ["p/.ipynb_checkpoints/a-checkpoint.jpg"]
    assert found("p/__MACOSX/*.jpg") == ["p/__MACOSX/a.jpg"]


needs_links = pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights on Windows")


@needs_links
@pytest.mark.parametrize("pattern", ["p", "p/**/*", "p/**/*.*"])
def test_links_to_folders_above_are_not_followed(pattern):
    before = found(pattern)
    for name in ("p/x", "p/y", "p/below/x", "p/below/y"):
        os.symlink(".", name)
    os.symlink("../..", "p/below/up")
    assert found(pattern) == before


@needs_links
def test_one_file_is_found_once_by_its_own_name():
    for name in ("p/0.png", "p/z.png", "p/below/0.png"):
        os.symlink(os.path.abspath("p/b.png"), name)
    assert found("p") == ALL
    assert found("p/**/*.png") == ["p/b.png"]
    os.symlink(".", "p/again")
    assert found("p/*/*.png", "p/*/b.png") == ["p/again/b.png", "p/again/b.png"]     # each argument by itself


@needs_links
def test_links_to_elsewhere():
    touch("q/e.jpg")
    os.symlink(os.path.abspath("q/e.jpg"), "p/e.jpg")
    os.symlink(os.path.abspath("q"), "p/q")
    assert found("p") == [*ALL, "p/e.jpg"]                           # the file; the folder only where it is named
    assert found("p/q") == ["p/q/e.jpg"]
    assert found("p/*/e.jpg") == ["p/q/e.jpg"]


@needs_links
def test_broken_links_are_kept_to_be_reported():
    os.symlink("nowhere.jpg", "p/broken.jpg")
    os.symlink("loop.jpg", "p/loop.jpg")
    os.symlink("nowhere", "p/folder")
    assert found("p") == ["p/a.JPG", "p/b.png", "p/below/c.tif", "p/below/deep/d.jpg", "p/broken.jpg", "p/loop.jpg"]


@pytest.mark.parametrize("pattern", ["p", "p/**/*.*"])
def test_folder_that_cannot_be_read_is_reported_and_costs_nothing(locked_below, pattern):
    assert photographs([pattern])[-1] == Photograph(os.path.join("p", "below"), "Permission denied")
    assert found("p") == ["p/a.JPG", "p/b.png"]


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "fsencode"), reason="names are text there")
def test_names_that_are_not_utf_8():
    Path(os.fsdecode(b"p/\xff.jpg")).touch()
    assert os.fsdecode(b"p/\xff.jpg") in found("p")
    assert found("p/**/*.jpg") == ["p/below/deep/d.jpg", os.fsdecode(b"p/\xff.jpg")]


def test_several_stars_look_into_each_folder_a_few_times(monkeypatch):
    touch("/".join(["d"] * 60) + "/x.jpg")
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    assert len(found("d/**/d/**/d/**/*.jpg")) == 1
    assert len(looked) < 10 * 60
