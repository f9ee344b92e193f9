"""Networks of one's own on the command line: a Sequential from its file alone, and a class with --from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl
import zoo
from minidl import nn
from minidl.cli import main
from minidl.data import drawn_digits
from minidl.io import CheckpointError, load_model, save_model
from minidl.optim import Adam
from minidl.train import fit

ROOT = Path(__file__).parents[2]
OWN = """
from minidl import nn

class Own(nn.Module):
    def __init__(self, in_channels=1, num_classes=10):
        self.conv, self.fc = nn.Conv2d(in_channels, 4, 3, stride=2), nn.Linear(4 * 13 * 13, num_classes)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).flatten(1))

def make():
    return Own()

def sized(in_channels, num_classes):
    return Own(in_channels, num_classes)

def nothing():
    return 3

five = 5
"""


def sequential():
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 13 * 13, 10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with my_own_net.py, a photograph, and the runs `sequential` and `own`."""
    path = tmp_path_factory.mktemp("own")
    (path / "my_own_net.py").write_text(OWN)
    Image.fromarray(np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)).save(path / "a.png")
    scope = {}
    exec(OWN, scope)
    for name, model in (("sequential", sequential()), ("own", scope["make"]())):
        minidl.manual_seed(0)
        fit(model, Adam(model.parameters()), drawn_digits(64), output_dir=path / name, epochs=1, batch_size=32,
            log_interval=0)
    return path


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("my_own_net", None)
    return folder


def run(capsys, *arguments):
    code = main(list(map(str, arguments)))
    return code, *capsys.readouterr()


OWNED = {"sequential": [], "own": ["--from", "my_own_net:make"]}


@pytest.mark.parametrize("name", OWNED)
def test_another_process_predicts(here, name):
    """Trained here, loaded and used there."""
    result = subprocess.run(
        [sys.executable, "-m", "minidl", "predict", "a.png", "--model", f"{name}/best.safetensors", "--json", "--top",
         "2", *OWNED[name]], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    [found] = json.loads(result.stdout)
    assert {each["class"] for each in found["predictions"]} <= set("0123456789")


@pytest.mark.parametrize("name", OWNED)
def test_every_command_takes_it(here, name, capsys, tmp_path):
    file, more = f"{name}/best.safetensors", OWNED[name]
    assert run(capsys, "draw", file, "-o", tmp_path / "net.svg", *more)[0] == 0
    assert "Linear" in (tmp_path / "net.svg").read_text()
    assert run(capsys, "look", "a.png", "--model", file, "-o", tmp_path / "look", *more)[0] == 0
    assert (tmp_path / "look" / "grad_cam.png").exists()
    code, out, _ = run(capsys, "summary", file, *more)
    assert code == 0
    assert "6,810" in out
    assert run(capsys, "evaluate", file, "digits", *more, "--data-dir", tmp_path)[0] == 0
    assert run(capsys, "compare", name)[0] == 0
    code, _, err = run(capsys, "convert", file, "-o", tmp_path / "new", "--classes", names(tmp_path), *more)
    assert (code, err) == (0, "")
    assert run(capsys, "summary", tmp_path / "new", *more)[0] == 0


def names(folder):
    path = folder / "names.txt"
    path.write_text("\n".join(f"digit {i}" for i in range(10)))
    return path


def test_facts_of_ones_own_class_change_without_it(here, capsys, tmp_path):
    assert run(capsys, "convert", "own/best.safetensors", "-o", tmp_path / "new", "--classes", names(tmp_path))[0] == 0
    sys.path.insert(0, str(here))
    import my_own_net
    model = load_model(tmp_path / "new", create=my_own_net.make)
    assert model.about["classes"][3] == "digit 3"
    assert model.about["input"] == [1, 28, 28]


def test_wrong_facts_are_refused(here, capsys, tmp_path):
    (tmp_path / "two").write_text("a\nb")
    code, _, err = run(capsys, "convert", "sequential/best.safetensors", "-o", tmp_path / "n", "--classes",
                       tmp_path / "two")
    assert (code, err) == (2, "minidl convert: the network has 10 classes, but the number of class names is 2\n")


def test_a_class_without_weights_is_drawn(here, capsys, tmp_path):
    assert run(capsys, "draw", "--from", "my_own_net.py:make", "--input", "1,28,28", "-o", tmp_path / "a.svg")[0] == 0
    code, _, err = run(capsys, "summary", "--from", "my_own_net:make")
    assert (code, err) == (2, "minidl summary: my_own_net:make: it does not say what images the network takes; add "
                              "--input C,H,W\n")


@pytest.mark.parametrize(("given", "reason"), [
    ("my_own_net:mak", "mak is no function in my_own_net; did you mean make?"),
    ("my_own_net:five", "five is no function in my_own_net"),
    ("my_own_net:nothing", "it returned a int, not an nn.Module"),
    ("my_other_net:make", "my_other_net: there is no such module in this folder, nor an installed one"),
    ("my_other_net.py:make", "my_other_net.py: there is no such file"),
    ("none.onnx", "none.onnx: there is no such file"),
])
def test_a_wrong_from_is_explained(here, capsys, given, reason):
    code, _, err = run(capsys, "summary", "--from", given, "--input", "1,28,28")
    assert code == 2
    assert reason in err


def test_from_needs_a_function(here, capsys):
    with pytest.raises(SystemExit):
        main(["summary", "--from", "my_own_net", "--input", "1,28,28"])
    assert "'my_own_net' is not MODULE:FUNCTION" in capsys.readouterr().err


def test_without_from_the_message_names_it(here, capsys):
    code, _, err = run(capsys, "predict", "a.png", "--model", "own/best.safetensors")
    assert code == 2
    assert "which is not in the zoo; --from MODULE:FUNCTION names the function of yours that makes it" in err
    with pytest.raises(CheckpointError, match=r"load it with load_model\(path, create=...\)"):
        zoo.load(here / "own" / "best.safetensors")


def test_a_changed_head_is_saved_as_it_is(tmp_path):
    model = zoo.create("resnet20", width=4)
    model.linear = nn.Linear(16, 2)
    save_model(tmp_path / "a", model, classes=["cat", "dog"], input=(3, 32, 32))
    assert zoo.load(tmp_path / "a").linear.weight.shape == (2, 16)
    assert re.search("Linear", repr(zoo.load(tmp_path / "a").linear))


SHORT = ["--limit", "64", "--validation", "16", "--epochs", "1", "--batch-size", "32", "--log-interval", "0"]


def test_train_takes_it(here, capsys, tmp_path):
    run_dir = tmp_path / "run"
    code, _, err = run(capsys, "train", "digits", "--from", "my_own_net:sized", *SHORT, "--output-dir", run_dir)
    assert (code, err) == (0, "")
    assert json.loads((run_dir / "args.json").read_text())["recipe"]["model"] == "my_own_net:sized"
    assert run(capsys, "summary", run_dir / "best.safetensors", "--from", "my_own_net:make")[0] == 0
    code, _, err = run(capsys, "train", "digits", "--from", "my_own_net:make", "--model", "lenet5", *SHORT)
    assert (code, err) == (2, "minidl train: --from makes the network, with its weights; leave out --model and "
                              "--pretrained\n")
    code, _, err = run(capsys, "train", "digits", "--from", "my_own_net:sized", "--set", "width=3", *SHORT)
    assert (code, err) == (2, "minidl train: --set width: my_own_net:sized takes no such setting\n")


def test_train_refuses_a_network_for_other_classes(here, capsys, tmp_path):
    (tmp_path / "few.py").write_text("from minidl import nn\ndef make():\n"
                                     "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 3))\n")
    code, _, err = run(capsys, "train", "digits", "--from", f"{tmp_path}/few.py:make", *SHORT)
    assert code == 2
    assert "gives 3 numbers for an image, and the data have 10 classes" in err


def test_train_goes_on_with_a_network_in_a_file_of_onnx(here, capsys, tmp_path):
    pytest.importorskip("onnx")
    assert run(capsys, "export", "sequential/best.safetensors", "-o", tmp_path / "net.onnx")[0] == 0
    code, _, err = run(capsys, "train", "digits", "--from", tmp_path / "net.onnx", *SHORT, "--output-dir",
                       tmp_path / "run")
    assert (code, err) == (0, "")
    code, out, err = run(capsys, "predict", "a.png", "--model", tmp_path / "run" / "best.safetensors", "--from",
                         tmp_path / "net.onnx")
    assert (code, err) == (0, "")
    assert "%" in out


def test_the_page_about_own_networks(tmp_path, monkeypatch):
    """Its programs, one after the other, as a reader runs them."""
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "own_page"}
    blocks = (ROOT / "docs" / "own_networks.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 3
    for block in blocks:
        exec(block.partition("```")[0], scope)
    assert type(scope["again"]) is scope["Own"]
