"""examples/train_unet_membrane.py on drawn cells."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts import exit_code

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "train_unet_membrane.py"
FLAGS = ("--data-dir", "data", "--epochs", 1, "-b", 2, "--base-channels", 2, "--crop", 32, "--log-interval", 0)


def run(monkeypatch, *flags):
    """The exit code of the script."""
    return exit_code(monkeypatch, SCRIPT, *flags)


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Eight slices of squares with dark borders."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("image", "label"):
        (tmp_path / "data" / "membrane" / "train" / name).mkdir(parents=True)
    for i in range(8):
        y, x = np.mgrid[:48, :48] + rng.integers(0, 12, (2, 1, 1))
        inside = (y % 12 > 1) & (x % 12 > 1)
        image = np.where(inside, 180, 60) + rng.integers(-20, 20, (48, 48))
        for name, pixels in (("image", image), ("label", 255 * inside)):
            Image.fromarray(pixels.astype(np.uint8)).save(f"data/membrane/train/{name}/{i}.png")


def test_train_then_evaluate(cells, monkeypatch, capsys):
    assert run(monkeypatch, *FLAGS, "--output-dir", "run") is None
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("pixel error ")
    told = json.loads(Path("run/segmentation.json").read_text())
    assert 0 <= told["best_rand_error"] <= told["rand_error"] <= 1
    assert told["pixel_error"] == pytest.approx(1 - json.loads(Path("run/metrics.json").read_text())["accuracy"])
    assert set(told["dice"]) == {"membrane", "cell"}
    with Image.open("run/mistakes.png") as picture:
        assert len(picture.getcolors(1 << 20)) > 20
    assert run(monkeypatch, *FLAGS, "--evaluate", "--resume", "run") is None
    assert capsys.readouterr().out.splitlines()[-1] == line
    assert run(monkeypatch, *FLAGS, "--evaluate", "--resume", "run", "--tta") is None
    assert capsys.readouterr().out.splitlines()[-1].startswith("pixel error ")
    assert json.loads(Path("run/segmentation.json").read_text())["test_time_augmentation"]


def test_other_flags(cells, monkeypatch, capsys):
    assert run(monkeypatch, *FLAGS, "--dry-run", "--loss", "dice", "--validation", 1) is None
    assert capsys.readouterr().out.endswith("a dry run: nothing is kept\n")
    assert not Path("runs").exists()
    Path("empty").mkdir()
    assert run(monkeypatch, "--data-dir", "empty") == 2
    assert "membrane needs the folder membrane/ or the archive membrane.tar in empty" in capsys.readouterr().err
