"""examples/compare_architectures.py on drawn digits: stopped, continued, and compared."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from minidl import data, train
from minidl.train import Interrupted

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "compare_architectures.py"
FLAGS = ("--data", "digits", "--validation", 20, "-b", 20, "--output-dir", "out")


def run(monkeypatch, *flags):
    """The exit code of the script."""
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, *map(str, flags)])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return caught.value.code


@pytest.fixture(autouse=True)
def few(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", lambda name, split="train", root=None: data.drawn_digits(80))


def test_a_network_then_a_second(monkeypatch, capsys):
    assert run(monkeypatch, *FLAGS, "--epochs", 1, "--models", "lenet5") == 0
    out = capsys.readouterr().out
    assert out.endswith("\ntable, curves and costs are in out/\n")
    assert Path("out/compare.txt").read_text() in out
    fit = train.fit
    trained = []
    monkeypatch.setattr(train, "fit", lambda *sets, **settings: trained.append(settings["output_dir"].name) or fit(
        *sets, **settings))
    assert run(monkeypatch, *FLAGS, "--epochs", 1, "--models", "lenet5", "lenet5_1998") == 0
    assert trained == ["lenet5_1998"]
    assert "lenet5: finished before" in capsys.readouterr().out
    table = Path("out/compare.txt").read_text()
    assert [line.split()[0] for line in table.splitlines()[:3]] == ["run", "lenet5", "lenet5_1998"]
    for name in ("curves.png", "costs.png"):
        assert Path("out", name).stat().st_size > 1000


def test_a_time_budget_is_measured_once(monkeypatch, capsys):
    monkeypatch.setattr(train, "seconds_per_epoch", lambda *arguments: 20.0)
    stop = [True]
    fit = train.fit

    def stopped(*sets, **settings):
        if stop:
            raise Interrupted("stopped by SIGINT", 2)
        return fit(*sets, **settings)
    monkeypatch.setattr(train, "fit", stopped)
    line = (*FLAGS, "--minutes", 0.7, "--models", "lenet5")
    assert run(monkeypatch, *line) == 130
    assert json.loads(Path("out/plan.json").read_text())["epochs"] == {"lenet5": 2}
    stop.clear()
    monkeypatch.setattr(train, "seconds_per_epoch", None)            # calling it is an error
    assert run(monkeypatch, *line) == 0
    assert len(Path("out/lenet5/log.csv").read_text().splitlines()) == 3


def test_bad_arguments(monkeypatch, capsys):
    assert run(monkeypatch, *FLAGS, "--epochs", 1, "--models", "lenet") == 2
    assert "did you mean lenet5" in capsys.readouterr().err
    assert not Path("out").exists()
    Path("out").mkdir()
    Path("out/plan.json").write_text("{}")
    assert run(monkeypatch, *FLAGS, "--epochs", 1, "--models", "lenet5") == 2
    assert "out/plan.json: not the plan of a comparison" in capsys.readouterr().err
    settings = {"epochs": 5, "minutes": None}
    Path("out/plan.json").write_text(json.dumps({"settings": settings, "epochs": {}}))
    assert run(monkeypatch, *FLAGS, "--epochs", 1, "--models", "lenet5") == 2
    assert "started with epochs=5 (now 1)" in capsys.readouterr().err
    assert run(monkeypatch, "--models", "lenet5") == 2
