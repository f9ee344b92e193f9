"""Runs beside one another; folders that hold none are left out with a reason, whatever is in them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import zoo
from minidl import data, io
from minidl.optim import SGD
from minidl.report.compare import as_json, as_text, compare, differences, draw_comparison, draw_costs
from minidl.train import fit

DIGITS = data.drawn_digits(60)
VALIDATION_SET = DIGITS.take(20)


def train(folder, name="lenet5", lr=0.1, test_set=None, validation_set=VALIDATION_SET, **settings):
    model = zoo.create(name)
    optimizer = SGD(model.named_parameters(), lr)
    fit(model, optimizer, DIGITS, validation_set, test_set, output_dir=folder, log_interval=0,
        **{"epochs": 2, "recipe": {"model": name, "lr": lr}} | settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs, a and b; the folder is not to be changed."""
    root = tmp_path_factory.mktemp("runs")
    train(root / "a", test_set=DIGITS.take(10))
    train(root / "b", lr=0.05, validation_set=None, epochs=1)
    return root


def test_two_runs(runs, tmp_path):
    comparison = compare([runs / "a", runs / "b", runs / "a"], zoo.build)
    assert list(comparison.runs) == ["a", "b"]
    assert comparison.left_out == []
    a, b = comparison.runs.values()
    assert (a.cost.network, a.cost.parameters, a.cost.multiply_adds) == ("lenet5", 61_706, 416_520)
    assert (a.epochs, b.epochs) == (2, 1)
    assert (b.best, b.test) == (None, None)
    assert a.accuracy == a.test == json.loads((runs / "a" / "metrics.json").read_text())["accuracy"]
    assert b.accuracy == b.rows[-1]["train_accuracy"]
    assert differences(comparison.runs) == {"lr": [0.1, 0.05], "epochs": [2, 1], "validation_images": [20, 0],
                                            "optimizer": ["SGD(lr=0.1)", "SGD(lr=0.05)"]}
    head, first, second, *rest = as_text(comparison).splitlines()
    assert head.split() == ["run", "network", "parameters", "multiply-adds", "epochs", "validation", "test", "seconds"]
    assert first.split()[:5] == ["a", "lenet5", "61,706", "416,520", "2"]
    assert second.split()[4:7] == ["1", "-", "-"]
    assert rest[1] == "settings that differ"
    told = json.loads(json.dumps(as_json(comparison), allow_nan=False))
    assert told["runs"][0]["best_validation_accuracy"] == a.best
    assert told["differences"]["lr"] == {"a": 0.1, "b": 0.05}
    for draw in (draw_comparison, draw_costs):
        draw(tmp_path / "plot.png", comparison.runs)
        with Image.open(tmp_path / "plot.png") as picture:
            assert len(picture.getcolors(1 << 20)) > 20


def test_validation_images_are_no_test(runs, tmp_path):
    shutil.copytree(runs / "a", tmp_path / "run")
    metrics = json.loads((runs / "a" / "metrics.json").read_text()) | {"part": "validation"}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    run = compare([tmp_path / "run"], zoo.build).runs["run"]
    assert (run.test, run.accuracy) == (None, run.best)


def test_folders_of_one_name_and_a_run_that_goes_on(runs, tmp_path):
    copy(runs / "a", tmp_path / "a")
    args = json.loads((tmp_path / "a" / "args.json").read_text())
    args["recipe"]["epochs"] = 30
    (tmp_path / "a" / "args.json").write_text(json.dumps(args))
    comparison = compare([runs / "a", tmp_path / "a"], zoo.build)
    assert list(comparison.runs) == [str(runs / "a"), str(tmp_path / "a")]
    assert "2 of 30" in as_text(comparison)


HEAD = b"epoch,train_loss,train_accuracy,validation_accuracy,seconds\n"


def copy(source, target):
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize(("file", "content", "reason"), [
    ("args.json", None, "no run; it has no args.json"),
    ("args.json", b"{", "not JSON, or cut off"),
    ("args.json", b"[" * 200_000, "not JSON, or cut off"),
    ("args.json", b"[]", "not a dictionary"),
    ("args.json", b"{}", "there is no recipe in it"),
    ("args.json", b"\xff\xfe", "not text"),
    ("log.csv", None, "no epoch is finished yet"),
    ("log.csv", b"", "no epoch is finished yet"),
    ("log.csv", b"epoch,lr\n1,0.1\n", "it has no column train_loss, train_accuracy"),
    ("log.csv", HEAD + b"1,2,three,0.5,6\n",
     "damaged; train_accuracy is 'three'"),
    ("log.csv", HEAD + b"1,nan,0.5,0.5,6\n", "train_loss is 'nan'"),
    ("log.csv", HEAD + b"1,2,0.5,0.5\n", "line 2 is not that"),
    ("log.csv", HEAD + b"2,2,0.5,0.5,6\n", "line 2 is not that"),
    ("log.csv", b'epoch,"train_loss\n', "log.csv: "),
    ("metrics.json", b'{"accuracy": "high"}', "its accuracy is 'high'"),
    ("metrics.json", b'{"accuracy": NaN}', "its accuracy is nan"),
    ("best.safetensors", None, "there is no such file"),
    ("best.safetensors", b"x" * 100, "not a safetensors file, or a damaged one"),
])
def test_damaged_folders(runs, tmp_path, file, content, reason):
    copy(runs / "a", tmp_path / "bad")
    path = tmp_path / "bad" / file
    path.unlink() if content is None else path.write_bytes(content)
    comparison = compare([tmp_path / "bad", runs / "a"], zoo.build)
    assert list(comparison.runs) == ["a"]
    text, = comparison.left_out
    assert text.startswith(str(tmp_path / "bad"))
    assert reason in text


def test_no_folders(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    assert compare([tmp_path / name for name in ("file", "empty", "nowhere")], zoo.build).left_out == [
        f"{tmp_path / 'file'}: not a folder", f"{tmp_path / 'empty'}: no run; it has no args.json",
        f"{tmp_path / 'nowhere'}: there is no such folder"]


def test_a_network_that_is_not_in_the_zoo(runs, tmp_path):
    copy(runs / "a", tmp_path / "own")
    arrays = {"fc.weight": np.ones((3, 4)), "bn.running_mean": np.ones(9)}
    io.save_checkpoint(tmp_path / "own" / "best.safetensors", arrays,
                       {"architecture": "mine.Net", "input": [1, 28, 28]})
    run, = compare([tmp_path / "own"], zoo.build).runs.values()
    assert run.cost == ("Net", 12, None)
    draw_costs(tmp_path / "costs.png", {"own": run})


def test_forged_networks_are_left_out(runs, tmp_path):
    copy(runs / "a", tmp_path / "bad")
    for architecture in ({"name": "resnet152", "settings": {}}, {"name": 3, "settings": {}}, {"name": "lenet"},
                         {"name": "lenet5", "settings": {"num_classes": "ten"}}):
        io.save_checkpoint(tmp_path / "bad" / "best.safetensors", {"fc.weight": np.ones((3, 4))},
                           {"architecture": architecture, "input": [1, 28, 28]})
        text, = compare([tmp_path / "bad"], zoo.build).left_out
        assert "best.safetensors: " in text
