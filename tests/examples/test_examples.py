"""The examples as a user runs them: exit codes and output, most in a process of their own."""

import functools
import importlib.util
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl
import zoo
from minidl import data, nn
from minidl.io import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
LENET = ROOT / "examples" / "train_lenet_mnist.py"
DIGITS = ("--dataset", "digits", "--limit", "420", "--validation", "100", "--epochs", "2", "-b", "32",
          "--log-interval", "0")                 # lines appear after seconds, on a busy machine also in small runs
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("MINIDL_DATA", "MINIDL_TRACEBACK")},
    "PYTHONPATH": str(ROOT),
    "NUMBA_DISABLE_JIT": "1",                    # the plain backend needs no compilation
    "http_proxy": "http://127.0.0.1:9",          # nothing listens on this port: simulates an offline machine
    "https_proxy": "http://127.0.0.1:9",
}


def start(folder, *line, script=LENET):
    return subprocess.Popen([sys.executable, "-W", "error", str(script), *line], cwd=folder, env=ENVIRONMENT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(folder, *line, script=LENET):
    """(stderr, stdout, exit code) of a command run in `folder`."""
    process = start(folder, *line, script=script)
    return *reversed(process.communicate(timeout=120)), process.returncode


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


def position(folder):
    path = folder / "last.safetensors"
    return load_checkpoint(path)[1]["position"] if path.exists() else {"epoch": 0, "step": 0}


def test_train_then_evaluate(tmp_path):
    err, out, code = run(tmp_path, *DIGITS)
    assert (err, code) == ("", 0)
    assert "\ndrawn digits: accuracy " in out
    assert out.endswith("results are in runs/lenet_mnist/\n")
    report = (tmp_path / "runs" / "lenet_mnist" / "report.txt").read_text()
    assert report in out
    err, again, code = run(tmp_path, "--dataset", "digits", "--evaluate")
    assert (err, code) == ("", 0)
    assert again == f"\n{report}"


def test_dry_run_without_mnist_warns_falls_back_and_leaves_no_files(tmp_path):
    err, out, code = run(tmp_path, "--dry-run", "--dataset", "auto", "--data-dir", str(tmp_path))
    assert code == 0
    assert "THIS IS NOT MNIST" in err
    assert "train-images-idx3-ubyte.gz" in err
    assert out.endswith("a dry run: nothing is kept\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [(), ("--dataset", "mnist")], ids=["a folder", "a folder and a name"])
def test_a_data_set_that_is_asked_for_is_never_replaced(tmp_path, name):
    (tmp_path / "empty").mkdir()
    err, out, code = run(tmp_path, *name, "--data-dir", "empty")
    assert (code, out) == (2, "")
    assert "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz in empty/MNIST/raw: put them there" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("line", "problem"), [
    ("lenet_mnist --data-dir nowhere", "there is no folder 'nowhere'"),
    ("lenet_mnist --data-dir nowhere --dataset auto", "there is no folder 'nowhere'"),
    ("lenet_mnist --data-dir nowhere --dataset digits", "there is no folder 'nowhere'"),
    ("lenet_mnist --data-dir nowhere --dataset cifar10", "there is no folder 'nowhere'"),
    ("lenet_mnist --data-dir file --dataset auto", "'file' is not a folder"),
    ("lenet_mnist --data-dir= --dataset auto", "there is no folder ''"),
    ("lenet_mnist", "there is no folder 'nowhere/at/all' ($MINIDL_DATA)"),
    ("fashion_mnist --data-dir nowhere", "there is no folder 'nowhere'"),
    ("fashion_mnist", "there is no folder 'nowhere/at/all' ($MINIDL_DATA)"),
])
def test_a_folder_of_data_that_is_not_there_is_an_error(tmp_path, monkeypatch, capsys, line, problem):
    """Named by the flag, or else by the environment."""
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIDL_DATA", "nowhere/at/all")
    script, *flags = line.split()
    monkeypatch.setattr(sys, "argv", [f"train_{script}.py", *flags])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "examples" / f"train_{script}.py"), run_name="__main__")
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert f"but {problem}; " in err
    assert len(err.splitlines()) == 1
    assert os.listdir(tmp_path) == ["file"]


def test_a_damaged_file_is_named(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (raw / name).write_bytes(b"\0\0\x08")
    err, _, code = run(tmp_path, "--data-dir", str(tmp_path))
    assert code == 2
    assert err.startswith(f"train_lenet_mnist.py: {raw}/train-images-idx3-ubyte: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("line", "message"), [
    ("--colour red", "unrecognized arguments: --colour red"),
    ("--epochs none", "'none' is not a whole number of at least 1"),
    ("--device tpu", "device 'tpu' is none of cpu, gpu, gpu:N"),
    ("--dataset cifar", "invalid choice: 'cifar'"),
    ("--resume nowhere", "--resume nowhere: there is no such file or folder"),
    ("--resume taken/best.safetensors", "its last.safetensors only"),
    ("--resume taken", "taken/last.safetensors: not a safetensors file, or a damaged one"),
    ("--output-dir taken", "taken already holds a run; resume it with --resume auto"),
    ("--output-dir file/run", "cannot make the output folder file/run"),
    ("--evaluate", "runs/lenet_mnist/best.safetensors: there is no such file"),
    ("--evaluate --resume file", "file: neither safetensors nor .npz nor ONNX nor a PyTorch file; it is empty"),
    ("--validation 421", "cannot split 421 off 420 images"),
])
def test_a_usage_error_is_one_sentence(tmp_path, monkeypatch, capsys, line, message):
    """In the test process, which is quicker; the errors above and below are tested in a process of their own."""
    (tmp_path / "taken").mkdir()
    for name in ("file", "taken/last.safetensors", "taken/best.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDL_TRACEBACK", raising=False)
    monkeypatch.setattr(sys, "argv", [str(LENET), *DIGITS, *line.split()])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(LENET), run_name="__main__")
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_device_gpu_without_cupy(tmp_path):
    err, out, code = run(tmp_path, "--device", "gpu")
    assert (code, out) == (2, "")
    assert err.startswith("train_lenet_mnist.py: device gpu:0: CuPy is not installed")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(tmp_path, number, code):
    """Checkpoints are written at the end of each epoch only, and the run is stopped long before the first."""
    folder = tmp_path / "runs" / "lenet_mnist"
    line = ("--dataset", "digits", "--validation", "0", "--epochs", "1", "--log-interval", "0.01", "-b", "32")
    process = start(tmp_path, *line)
    process.stderr.readline()                    # wait for the first steps
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    *_, last = err.splitlines()
    assert last.startswith(f"train_lenet_mnist.py: stopped by {signal.Signals(number).name} after step ")
    assert last.endswith("of epoch 1; the run is saved, and --resume runs/lenet_mnist continues it")
    assert "Traceback" not in err + out
    assert position(folder)["step"] > 0


def test_kill_9_at_random_moments(tmp_path):
    """A run killed twice must end like an uninterrupted one. (benchmarks/kill_and_resume.py does it fifty times.)"""
    line = (*DIGITS, "--checkpoint-interval", "0.02", "--resume", "auto", "--output-dir")
    assert run(tmp_path, *line, "uninterrupted")[2] == 0
    moments = random.Random(0)
    for _ in range(2):
        before = position(tmp_path / "killed")
        process = start(tmp_path, *line, "killed")
        wait_for(lambda before=before: position(tmp_path / "killed") != before)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.communicate()
    assert run(tmp_path, *line, "killed")[2] == 0
    for name in ("last.safetensors", "best.safetensors"):
        whole, killed = (load_checkpoint(tmp_path / folder / name)[0] for folder in ("uninterrupted", "killed"))
        assert {key: array.tobytes() for key, array in whole.items()} == {
            key: array.tobytes() for key, array in killed.items()}


def test_every_epoch_of_the_readme_has_another_order(monkeypatch):
    """Its loop is run as it stands there, with few digits, and the network replaced by one that remembers."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = readme.partition("## Twenty lines\n\n```python\n")[2].partition("```")[0]
    seen = []
    monkeypatch.setattr(data, "load", lambda name: data.drawn_digits(130))
    monkeypatch.setattr(nn.Sequential, "forward", lambda self, x: seen.append(x.numpy().copy()) or self[-1](
        minidl.functional.adaptive_avg_pool2d(x, 14).reshape(len(x.data), -1)[:, :1] * np.ones((1, 1568), np.float32)))
    exec(code, {})
    first, second = (np.concatenate(seen[i:i + 2]) for i in (0, 2))
    assert len(seen) == 6
    assert not np.array_equal(first, second)
    assert sorted(image.tobytes() for image in first) == sorted(image.tobytes() for image in second)


@pytest.fixture
def small_sets(monkeypatch):
    """Replaces every data set by a few drawn digits."""
    monkeypatch.setattr(data, "load", lambda name, split="train", root=None: data.drawn_digits(300))


def test_fashion(tmp_path, monkeypatch, capsys, small_sets):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train_fashion_mnist.py", "--dry-run", "--validation", "20", "-b", "20"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "examples" / "train_fashion_mnist.py"), run_name="__main__")
    assert caught.value.code is None
    assert capsys.readouterr().out.endswith("a dry run: nothing is kept\n")


@pytest.mark.parametrize("flags", ["", "--augment none", "--augment randaugment --cutout 8 --model resnet20"])
def test_cifar10(tmp_path, monkeypatch, capsys, flags):
    """On a few images of noise."""
    rng = np.random.default_rng(0)
    noise = data.ImageDataset(rng.integers(0, 256, (60, 3, 32, 32)).astype(np.uint8), np.arange(60) % 10, "abcdefghij")
    monkeypatch.setattr(data, "load", lambda name, split="train", root=None: noise)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train_cifar10.py", "--dry-run", "--validation", "20", "-b", "20",
                                      *flags.split()])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "examples" / "train_cifar10.py"), run_name="__main__")
    assert caught.value.code is None
    assert capsys.readouterr().out.endswith("a dry run: nothing is kept\n")


def test_cifar10_speedrun(tmp_path, monkeypatch, capsys):
    """Two networks on a few images of noise, whose folders hold the whole recipe."""
    rng = np.random.default_rng(0)
    noise = data.ImageDataset(rng.integers(0, 256, (20, 3, 32, 32)).astype(np.uint8), np.arange(20) % 10, "abcdefghij")
    monkeypatch.setattr(data, "load", lambda name, split="train", root=None: noise)
    monkeypatch.setattr(zoo, "create", functools.partial(zoo.create, width=4))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cifar10_speedrun.py", "-b", "10", "--epochs", "1", "--runs", "2",
                                      "--output-dir", "runs"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "examples" / "cifar10_speedrun.py"), run_name="__main__")
    assert caught.value.code is None
    out = capsys.readouterr().out
    assert "\nseed 0: " in out
    assert "\nmean of 2 runs: " in out
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "examples" / "cifar10_speedrun.py"), run_name="__main__")
    again = capsys.readouterr().out
    assert again.count("resuming") == 2
    assert again.splitlines()[-1] == out.splitlines()[-1]
    recipe = json.loads((tmp_path / "runs" / "seed1" / "args.json").read_text())
    assert "Lookahead" in json.dumps(recipe)
    assert "AlternatingFlip" in json.dumps(recipe)


def test_by_hand(monkeypatch, capsys, small_sets):
    monkeypatch.setattr(sys, "argv", ["by_hand.py", "digits"])
    runpy.run_path(str(ROOT / "examples" / "by_hand.py"), run_name="__main__")
    *epochs, last = capsys.readouterr().out.splitlines()
    assert len(epochs) == 5
    assert last.startswith("test accuracy ")
    assert last.endswith("% (300 images)")


def test_look_inside(tmp_path, monkeypatch, capsys, small_sets):
    folder = tmp_path / "pictures"
    monkeypatch.setattr(sys, "argv", ["look_inside.py", "--epochs", "1", "--output-dir", str(folder)])
    runpy.run_path(str(ROOT / "examples" / "look_inside.py"), run_name="__main__")
    epoch, drawn = capsys.readouterr().out.splitlines()
    assert epoch.startswith("epoch 1: loss ")
    assert drawn.startswith("the image shows a drawn digit ")
    assert sorted(os.listdir(folder)) == ["filters.png", "grad_cam.png", "maps.png", "resnet20.svg", "unet.svg"]
    for name in ("unet", "resnet20"):
        assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg ")
    for name in ("filters", "grad_cam", "maps"):
        with Image.open(folder / f"{name}.png") as picture:
            assert len(picture.getcolors(1 << 20)) > 20              # not blank
