"""`minidl train`: a network on folders of photographs or on a known data set, ready for `minidl predict`."""

import json

import numpy as np
import pytest
from PIL import Image

from minidl import cli, data
from minidl.io import load_checkpoint


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Red cats and green dogs, 20 of each."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, channel in (("cat", 0), ("dog", 1)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 60, (30, 40, 3)).astype(np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def minidl(*arguments):
    return cli.main(["train", *map(str, arguments)])


SMALL = ("--model", "lenet5", "--size", "28", "-b", "8", "--log-interval", "0")


def test_photographs(photos, capsys):
    """The run's weights classify other photographs, by the names of the folders."""
    (photos / "dog" / "broken.png").write_bytes(b"not an image")
    assert minidl(photos, *SMALL, "--epochs", 4, "--lr", 0.1, "--cache", "cache", "--output-dir", "run") == 0
    out = capsys.readouterr().out
    assert "photos: 1 of 41 images cannot be read and are left out:\n" in out
    assert "broken.png: " in out
    assert out.count("broken.png") == 1
    assert "32 training images of 2 classes, 8 for validation, 0 for the test\n" in out
    assert "there is no test set: the report is of the validation images" in out
    _, facts = load_checkpoint("run/best.safetensors")
    assert facts["classes"] == ["cat", "dog"]
    assert facts["input"] == [3, 28, 28]
    assert facts["recipe"]["augment"] == "standard"
    assert cli.main(["predict", str(photos / "dog" / "3.png"), str(photos / "cat" / "3.png"), "--model",
                     "run/best.safetensors", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "dog" in json.dumps(told[0])
    assert minidl(photos, *SMALL, "--evaluate", "--resume", "run", "--cache", "cache") == 0
    assert "accuracy" in capsys.readouterr().out


def test_folders_for_each_part_and_frozen_layers(photos, tmp_path, capsys):
    for part in ("train", "val", "test"):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for name in ("cat", "dog"):
            (tmp_path / "parts" / part / name).mkdir()
            for i in range(4):
                image = photos / name / f"{i}.png"
                (tmp_path / "parts" / part / name / f"{i}.png").write_bytes(image.read_bytes())
    assert minidl("parts", *SMALL, "--epochs", 1, "--freeze", "conv1", "--augment", "strong",
                  "--output-dir", "run") == 0
    out = capsys.readouterr().out
    assert "8 training images of 2 classes, 8 for validation, 8 for the test\n" in out
    assert "there is no test set" not in out
    assert minidl("parts", *SMALL, "--epochs", 1, "--freeze", "conv9", "--output-dir", "other") != 0
    assert "conv9" in capsys.readouterr().err


def test_pretrained_weights_keep_their_normalisation(photos, capsys):
    assert minidl(photos, *SMALL, "--epochs", 1, "--output-dir", "first") == 0
    assert minidl(photos, *SMALL, "--epochs", 1, "--output-dir", "second", "--limit", 10, "--pretrained",
                  "first/best.safetensors") == 0
    first, second = (load_checkpoint(f"{run}/best.safetensors")[1] for run in ("first", "second"))
    assert first["mean"] == second["mean"]
    capsys.readouterr()
    assert minidl(photos, *SMALL, "--pretrained", "nowhere.safetensors") == 2
    assert "nowhere.safetensors: neither a file nor the name of published weights" in capsys.readouterr().err


def test_a_known_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", lambda name, split, root: data.drawn_digits(200, seed=len(split)))
    assert minidl("digits", "--epochs", 1, "--dry-run") == 0
    assert capsys.readouterr().out.endswith("a dry run: nothing is kept\n")
    assert minidl("digits", "--epochs", 1, "--validation", 0, "--log-interval", 0) == 0
    assert (tmp_path / "runs" / "digits" / "report.txt").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (("nowhere",), "'nowhere' is missing; it must hold one folder of images for each class"),
    (("photos", "--model", "lenet"), "there is no network 'lenet'; did you mean lenet5"),
    (("photos/cat",), "has no folders; a classifier needs at least two folders"),
])
def test_bad_arguments(photos, capsys, arguments, words):
    assert minidl(*arguments) == 2
    assert words in capsys.readouterr().err
