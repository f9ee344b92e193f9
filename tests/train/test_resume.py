"""A run that is stopped anywhere and resumed ends with the same bits as an uninterrupted run."""

import csv
import json
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import toy_run

from minidl.errors import sentence
from minidl.io import CheckpointError, load_checkpoint, save_checkpoint
from minidl.optim import SGD, Adam, AdamW, CosineAnnealingLR, Lookahead, ReduceLROnPlateau
from minidl.report.log import COLUMNS
from minidl.train import Callback, Interrupted, RunError, fit
from minidl.train.loop import Loop
from minidl.train.progress import Progress
from minidl.train.records import Curves, LogFile
from minidl.train.run import Run


class Killed(Exception):
    """Simulates a kill: nothing is saved afterwards."""


def saved(folder, name):
    """The arrays of a checkpoint as bytes, and its facts without times."""
    arrays, facts = load_checkpoint(Path(folder) / name)
    return {name: (array.shape, array.tobytes()) for name, array in arrays.items()}, timeless(facts)


def timeless(value):
    """The same facts without times."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "seconds"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def assert_same_end(folder, other):
    for name in ("last.safetensors", "best.safetensors"):
        assert saved(folder, name) == saved(other, name)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Drawing takes longer than the run."""
    monkeypatch.setattr("minidl.train.records.draw_curves", lambda *_: None)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A function from an optimizer to the folder of an uninterrupted run."""
    folders = {}

    def folder(optimizer):
        if optimizer not in folders:
            folders[optimizer] = tmp_path_factory.mktemp("uninterrupted")
            toy_run.train(folders[optimizer], optimizer)
        return folders[optimizer]
    return folder


@contextmanager
def killed_at(owner, method, call, before=False):
    """In the block, call number `call` of a method raises Killed, before or after its work."""
    original, calls = getattr(owner, method), iter(range(1, 10_000))

    def killing(*args, **settings):
        number = next(calls)
        if number == call and before:
            raise Killed
        result = original(*args, **settings)
        if number == call:
            raise Killed
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, killing)
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize(("optimizer", "step"), [
    (SGD, 1), (SGD, 5), (SGD, 7), (SGD, 8), (SGD, 21), (Adam, 12), (AdamW, 4),
])
def test_killed_after_a_step(tmp_path, uninterrupted, optimizer, step):
    """With a checkpoint after each step; the kill comes between a step and its checkpoint."""
    with killed_at(Loop, "step", step):
        toy_run.train(tmp_path, optimizer, checkpoint_interval=0)
    toy_run.train(tmp_path, optimizer, resume=True)
    assert_same_end(tmp_path, uninterrupted(optimizer))


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("owner", "method", "call"), [
    (SGD, "update", 10),
    (Loop, "validate", 2), (Run, "save_weights", 2), (Run, "save", 2), (Run, "save", 9), (LogFile, "epoch_finished", 1),
    (Progress, "epoch_finished", 2), (Curves, "epoch_finished", 1), (Curves, "run_finished", 1),
])
def test_killed_elsewhere(tmp_path, uninterrupted, owner, method, call, before):
    with killed_at(owner, method, call, before):
        toy_run.train(tmp_path, checkpoint_interval=0)
    toy_run.train(tmp_path, resume=True)
    assert_same_end(tmp_path, uninterrupted(SGD))


def test_average_of_the_weights_is_resumed(tmp_path):
    toy_run.train(tmp_path / "a", ema_decay=0.9)
    with killed_at(Loop, "step", 11):
        toy_run.train(tmp_path / "b", ema_decay=0.9, checkpoint_interval=0)
    toy_run.train(tmp_path / "b", ema_decay=0.9, resume=True)
    assert_same_end(tmp_path / "a", tmp_path / "b")


def test_killed_repeatedly(tmp_path, uninterrupted):
    for step in (2, 3, 1, 6, 4):
        with killed_at(Loop, "step", step):
            toy_run.train(tmp_path, checkpoint_interval=0, resume=True)
    toy_run.train(tmp_path, resume=True)
    assert_same_end(tmp_path, uninterrupted(SGD))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [3, 7, 10])
def test_signal_finishes_the_step_and_saves(tmp_path, monkeypatch, uninterrupted, number, step):
    original, calls = Loop.step, iter(range(1, 100))

    def step_and_signal(loop, images, labels):
        if next(calls) == step:
            os.kill(os.getpid(), number)
        original(loop, images, labels)

    handler = signal.getsignal(number)
    resumable = rf"the run is saved in {tmp_path}, and fit\(\.\.\., resume=True\) continues it$"
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "step", step_and_signal)
        with pytest.raises(Interrupted, match=resumable) as caught:
            toy_run.train(tmp_path)
    assert caught.value.signal == number
    assert sentence(caught.value).endswith(f"the run is saved, and --resume {tmp_path} continues it")
    assert signal.getsignal(number) is handler
    position = load_checkpoint(tmp_path / "last.safetensors")[1]["position"]
    assert 7 * position["epoch"] + position["step"] == step
    toy_run.train(tmp_path, resume=True)
    assert_same_end(tmp_path, uninterrupted(SGD))


def test_signal_after_the_last_step_is_not_lost(tmp_path, monkeypatch):
    def log_and_signal(path, rows):
        if len(rows) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("minidl.train.records.write_log", log_and_signal)
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 0 of epoch 4"):
        toy_run.train(tmp_path)


def test_each_epoch_has_one_row_in_the_log(tmp_path):
    with killed_at(Loop, "step", 15):
        toy_run.train(tmp_path, checkpoint_interval=0)
    with open(tmp_path / "log.csv", "a") as log:
        log.write("3,a row of a step that was lost\n")
    toy_run.train(tmp_path, resume=True)
    with open(tmp_path / "log.csv", newline="") as log:
        assert [row["epoch"] for row in csv.DictReader(log)] == ["1", "2", "3"]


def test_finished_run_is_not_trained_further(tmp_path, monkeypatch):
    rows = toy_run.train(tmp_path)
    before = saved(tmp_path, "last.safetensors")
    monkeypatch.setattr(Loop, "step", None)
    assert toy_run.train(tmp_path, resume=True) == rows
    assert saved(tmp_path, "last.safetensors") == before


def per_epoch(optimizer, kind):
    return CosineAnnealingLR(optimizer, 3) if kind == "cosine" else ReduceLROnPlateau(optimizer, patience=0)


@pytest.mark.parametrize("kind", ["cosine", "plateau"])
def test_schedules_per_epoch(tmp_path, kind):
    def train(folder, **settings):
        model = toy_run.net()
        optimizer = SGD(model.named_parameters(), 0.3)
        return fit(model, optimizer, toy_run.TRAIN_SET, toy_run.VALIDATION_SET, output_dir=folder,
                   schedule=per_epoch(optimizer, kind), schedule_every="epoch", **toy_run.SETTINGS, **settings)

    rows = train(tmp_path / "a")
    with killed_at(Loop, "step", 11):
        train(tmp_path / "b", checkpoint_interval=0)
    train(tmp_path / "b", resume=True)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    assert rows[0]["lr"] == 0.3                  # the rate used in the epoch


# Runs that cannot be resumed

def test_existing_run_is_not_overwritten(tmp_path):
    toy_run.train(tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        toy_run.train(tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_run_with_another_recipe_is_not_resumed(tmp_path):
    toy_run.train(tmp_path)
    with pytest.raises(CheckpointError, match=r"started with batch_size=16 \(now 32\); resume it with the same"):
        toy_run.train(tmp_path, resume=True, batch_size=32)
    with pytest.raises(CheckpointError, match=r"optimizer='SGD' \(now 'Adam'\)"):
        toy_run.train(tmp_path, Adam, resume=True)
    with pytest.raises(CheckpointError, match=r"lr=None \(now 0.1\)"):
        toy_run.train(tmp_path, resume=True, recipe={"lr": 0.1})


def test_weights_without_a_run_are_not_resumed(tmp_path):
    toy_run.train(tmp_path)
    (tmp_path / "best.safetensors").rename(tmp_path / "last.safetensors")
    with pytest.raises(CheckpointError, match="it holds weights, but no run that could be resumed"):
        toy_run.train(tmp_path, resume=True)


def without(array):
    def change(arrays, facts):
        del arrays[array]
    return change


def with_fact(key, value):
    def change(arrays, facts):
        facts[key] = value
    return change


ROW = dict.fromkeys(COLUMNS, 1)
DAMAGE = {
    "a weight missing": without("conv.weight"),
    "a velocity missing": without("optimizer/conv.weight.velocity"),
    "a weight of another shape": lambda arrays, facts: arrays.update({"fc.bias": np.zeros(3, np.float32)}),
    "no optimizer": with_fact("optimizer", None),
    "an optimizer of the wrong kind": with_fact("optimizer", {"steps": [], "settings": 3}),
    "a schedule of the wrong kind": with_fact("schedule", [1]),
    "no random state": with_fact("random_state", {}),
    "a random state out of range": with_fact("random_state", {
        "bit_generator": "PCG64", "state": {"state": -1, "inc": 1}, "has_uint32": 0, "uinteger": 0}),
    "an unknown part of the position": with_fact("position", {"epoch": 1, "planet": 3}),
    "a position of the wrong type": with_fact("position", {"epoch": "1"}),
    "a negative position": with_fact("position", {"epoch": 1, "step": -1}),
    "rows of another log": with_fact("position", {"rows": [{"epoch": 1}]}),
    "rows with words": with_fact("position", {"epoch": 1, "rows": [ROW | {"lr": "high"}], "best": ROW}),
    "fewer rows than epochs": with_fact("position", {"epoch": 2, "rows": [ROW], "best": ROW}),
    "no best": with_fact("position", {"epoch": 1, "rows": [ROW]}),
    "steps without images": with_fact("position", {"step": 7}),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_manipulated_checkpoint_is_refused(tmp_path, change):
    toy_run.train(tmp_path)
    arrays, facts = load_checkpoint(tmp_path / "last.safetensors")
    change(arrays, facts)
    save_checkpoint(tmp_path / "last.safetensors", arrays, facts)
    with pytest.raises(CheckpointError, match=r"last\.safetensors: not a checkpoint of this run"):
        toy_run.train(tmp_path, resume=True)


class Fault(Callback):
    """An error after some steps."""

    def __init__(self, steps):
        self.steps = steps

    def step_finished(self, run):
        if run.steps == self.steps:
            raise ValueError("a fault")


@pytest.mark.parametrize("steps", [1, 4, 9, 14])
def test_lookahead_resumes_bit_by_bit(tmp_path, steps):
    """The slow weights are validated, kept, and part of the checkpoint."""
    def run(folder, **settings):
        model = toy_run.net()
        optimizer = SGD(model.named_parameters(), 0.05, 0.9)
        average = Lookahead(model, 3, lambda n: 1 / (1 + n))
        fit(model, optimizer, toy_run.TRAIN_SET, toy_run.VALIDATION_SET, output_dir=folder, average=average,
            **{**toy_run.SETTINGS, "epochs": 2}, **settings)
        return model.state_dict()

    straight = run(tmp_path / "straight")
    with pytest.raises(ValueError, match="a fault"):
        run(tmp_path / "broken", callbacks=[Fault(steps)])
    for name, array in run(tmp_path / "broken", resume=True).items():
        np.testing.assert_array_equal(array, straight[name])
    recipe = json.loads((tmp_path / "broken" / "args.json").read_text())["recipe"]
    assert recipe["average"] == "Lookahead(steps=3, alpha=a function)"
