"""examples/transfer_cats_dogs.py on a few coloured images and a small network, and on real photographs if there are."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts import exit_code

import zoo
from minidl import Tensor, cli, io

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "transfer_cats_dogs.py"


def run(monkeypatch, *flags):
    """The exit code of the script."""
    return exit_code(monkeypatch, SCRIPT, *flags)


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Red cats and green dogs, 8 for training and 4 for validation of each, and the weights of a small network."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 4)):
        for name, channel in (("cat", 0), ("dog", 1)):
            folder = tmp_path / "data" / "cats-vs-dogs" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (36, 40, 3)).astype(np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(folder / f"{i}.png")
    model = zoo.create("mobilenet_v1", width=0.25, num_classes=3)
    for _ in range(30):                          # so that batch norms have statistics, and signals do not fade away
        model(Tensor(rng.standard_normal((8, 3, 32, 32), dtype=np.float32)))
    io.save_model("small.safetensors", model, mean=(0.5,) * 3, std=(0.5,) * 3, input=(3, 32, 32), classes=list("abc"))
    return ("--weights", "small.safetensors", "--data-dir", "data", "--size", 32, "--cache", "cache", "-b", 4,
            "--log-interval", 0, "--epochs", 2)


def test_features_and_the_whole_network(pets, monkeypatch, capsys):
    assert run(monkeypatch, *pets, "--output-dir", "run", "--copies", 1) is None
    out = capsys.readouterr().out
    assert "train loss" in out
    assert len(list(Path("cache").iterdir())) == 2
    assert json.loads(Path("run/args.json").read_text())["recipe"]["train_images"] == 32
    assert "cat" in Path("run/report.txt").read_text()
    assert cli.main(["predict", "data/cats-vs-dogs/val/dog/0.png", "--model", "run/model.safetensors", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert {each["class"] for each in told["predictions"]} == {"cat", "dog"}
    assert sum(each["probability"] for each in told["predictions"]) == pytest.approx(1)
    accuracy = json.loads(Path("run/metrics.json").read_text())["accuracy"]
    assert run(monkeypatch, *pets, "--evaluate", "--resume", "run") is None
    assert f"accuracy {accuracy:.2%}" in capsys.readouterr().out
    assert run(monkeypatch, *pets, "--resume", "run", "--copies", 1, "--cache", "elsewhere") is None


def test_dense_head_and_fine_tuning(pets, monkeypatch, capsys):
    assert run(monkeypatch, *pets, "--output-dir", "run", "--mode", "finetune", "--head", "dense", "--top", 2,
               "--copies", 0, "--optimizer", "rmsprop") is None
    assert sorted(os.listdir("run/head"))[0] == "args.json"
    arrays, _ = io.load_checkpoint("run/best.safetensors")
    before, _ = io.load_checkpoint("small.safetensors")
    same = {name for name, array in before.items() if name in arrays and np.array_equal(array, arrays[name])}
    assert {"conv1.conv.weight", "blocks.10.pointwise.bn.running_mean"} <= same
    assert not {name for name in same if name.startswith(("blocks.11", "blocks.12")) and name.endswith("weight")}
    capsys.readouterr()
    assert run(monkeypatch, *pets, "--evaluate", "--resume", "run", "--mode", "finetune", "--head", "dense") is None
    accuracy = json.loads(Path("run/metrics.json").read_text())["accuracy"]
    assert f"accuracy {accuracy:.2%}" in capsys.readouterr().out


def test_what_is_missing_is_said(pets, monkeypatch, capsys):
    assert run(monkeypatch, *pets[:2], "--data-dir", "nowhere") == 2
    assert "cats-vs-dogs" in capsys.readouterr().err
    Path("empty").mkdir()
    assert run(monkeypatch, *pets[:2], "--data-dir", "empty") == 2
    assert "the archive cats-vs-dogs.tar in empty; put it there, made from Kaggle's" in capsys.readouterr().err
    assert run(monkeypatch, *pets[2:], "--weights", "vgg17") == 2
    assert "did you mean" in capsys.readouterr().err
    assert run(monkeypatch, *pets, "--model", "lenet5") == 2
    assert "does not fit LeNet5" in capsys.readouterr().err


WEIGHTS = Path(os.environ.get("MINIDL_DATA", "")) / "weights" / "mobilenet_v1_0.75_224.npz"


@pytest.mark.slow
@pytest.mark.skipif(not (os.environ.get("MINIDL_DATA") and WEIGHTS.is_file()
                         and (WEIGHTS.parents[1] / "cats-vs-dogs.tar").is_file()),
                    reason="no cats and dogs, or no weights of MobileNet-v1, in $MINIDL_DATA")
def test_real_photographs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "--weights", WEIGHTS, "--copies", 0, "--cache", "cache", "--epochs", 10,
               "--output-dir", "run") is None
    assert json.loads(Path("run/metrics.json").read_text())["accuracy"] >= 0.93
