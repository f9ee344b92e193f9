"""The choice of a run's folder, and the meaning of `--resume`."""

from pathlib import Path

import pytest

from minidl.train import RunError
from minidl.train.folder import choose_folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run_at(path, *others):
    """Create folders that look like runs."""
    for each in (path, *others):
        Path(each).mkdir(parents=True)
        Path(each, "last.safetensors").touch()


def test_first_free_name_is_chosen():
    assert choose_folder("toy") == (Path("runs/toy"), False)
    run_at("runs/toy", "runs/toy-2", "runs/toy-10", "runs/toyota")
    assert choose_folder("toy") == (Path("runs/toy-3"), False)


def test_auto_chooses_the_newest_run():
    assert choose_folder("toy", resume="auto") == (Path("runs/toy"), False)
    run_at("runs/toy", "runs/toy-2", "runs/toy-10", "runs/toy-big", "runs/toyota-99")
    Path("runs/toy-11").mkdir()                                      # killed before its first checkpoint
    assert choose_folder("toy", resume="auto") == (Path("runs/toy-10"), True)


def test_output_dir():
    assert choose_folder("toy", "mine") == (Path("mine"), False)
    assert choose_folder("toy", "mine", "auto") == (Path("mine"), False)
    run_at("mine")
    assert choose_folder("toy", "mine", "auto") == (Path("mine"), True)
    assert choose_folder("toy", "mine", overwrite=True) == (Path("mine"), False)
    with pytest.raises(RunError, match=r"--overwrite replaces the run .*, and --resume continues it; leave out one"):
        choose_folder("toy", "mine", "auto", overwrite=True)
    with pytest.raises(RunError, match="--overwrite replaces the run in the folder that --output-dir names"):
        choose_folder("toy", overwrite=True)
    with pytest.raises(RunError, match="already holds a run; resume it with --resume auto, replace it with --overwr"):
        choose_folder("toy", "mine")


@pytest.mark.parametrize("path", ["mine", "mine/", "mine/last.safetensors"])
def test_resume_by_path(path):
    run_at("mine")
    assert choose_folder("toy", None, path) == (Path("mine"), True)
    assert choose_folder("toy", "mine", path) == (Path("mine"), True)
    with pytest.raises(RunError, match="continues in mine; leave out --output-dir other"):
        choose_folder("toy", "other", path)


@pytest.mark.parametrize(("path", "message"), [
    ("nowhere", "no such file or folder"), ("nowhere/last.safetensors", "no such file or folder"),
    ("mine/best.safetensors", "its last.safetensors only"), ("empty", "no last.safetensors in this folder"),
])
def test_paths_that_cannot_be_resumed(path, message):
    run_at("mine")
    Path("mine/best.safetensors").touch()
    Path("empty").mkdir()
    with pytest.raises(RunError, match=f"--resume {path}: .*{message}"):
        choose_folder("toy", None, path)
