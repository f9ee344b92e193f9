"""Callbacks: the order of their calls, what they see, how they stop a run, and what an error in one does."""

import contextlib
import os
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import toy_run
from test_resume import assert_same_end, killed_at

from minidl import NonFiniteError
from minidl.io import load_checkpoint
from minidl.train import Callback, Interrupted
from minidl.train.loop import Loop
from minidl.train.records import in_notebook

SHORT = {"epochs": 2, "batch_size": 50}          # two steps in an epoch


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("minidl.train.records.draw_curves", lambda *_: None)


class Notes(Callback):
    """Writes down what it is told."""

    def __init__(self, heard=None, name=""):
        self.heard, self.name = [] if heard is None else heard, name

    def note(self, event, run):
        self.heard.append(f"{self.name}{event} {run.position.epoch}.{run.position.step}")

    def run_started(self, run):
        self.note("run_started", run)

    def epoch_started(self, run):
        self.note("epoch_started", run)

    def step_finished(self, run):
        self.note("step_finished", run)

    def epoch_finished(self, run, row):
        self.note("epoch_finished", run)

    def run_finished(self, run):
        self.note("run_finished", run)
        self.error = run.error


def failing(event, error, call=1):
    """A callback whose method `event` raises the error at this call."""
    calls = iter(range(1, 100))

    def method(self, *_):
        if next(calls) == call:
            raise error
    return type("Failing", (Callback,), {event: method})()


WHOLE = ["run_started 0.0",
         "epoch_started 0.0", "step_finished 0.1", "step_finished 0.2", "epoch_finished 1.0",
         "epoch_started 1.0", "step_finished 1.1", "step_finished 1.2", "epoch_finished 2.0",
         "run_finished 2.0"]


def test_the_order_of_the_calls(tmp_path):
    heard = []
    toy_run.train(tmp_path, callbacks=[Notes(heard, "a "), Notes(heard, "b ")], **SHORT)
    assert heard == [f"{name} {event}" for event in WHOLE for name in "ab"]


def test_calls_of_a_resumed_run(tmp_path):
    with killed_at(Loop, "step", 4):
        toy_run.train(tmp_path, checkpoint_interval=0, **SHORT)
    notes = Notes()
    toy_run.train(tmp_path, resume=True, callbacks=[notes], **SHORT)
    assert notes.heard == ["run_started 1.1", "epoch_started 1.1", "step_finished 1.2", "epoch_finished 2.0",
                           "run_finished 2.0"]
    assert notes.error is None
    notes = Notes()
    toy_run.train(tmp_path, resume=True, callbacks=[notes], **SHORT)
    assert notes.heard == ["run_started 2.0", "run_finished 2.0"]


def test_what_a_callback_sees(tmp_path):
    seen = []

    class Look(Callback):
        def step_finished(self, run):
            seen.append((run.loss, run.steps, run.optimizer.lr, run.model.fc.bias.numpy().copy()))

        def epoch_finished(self, run, row):
            assert run.position.rows[-1] is row
            assert row["train_loss"] == pytest.approx(np.mean([loss for loss, *_ in seen[-2:]]), rel=1e-6)
            assert (tmp_path / "log.csv").read_text().count("\n") == row["epoch"] + 1        # written before
            assert load_checkpoint(run.folder / "last.safetensors")[1]["position"]["epoch"] == row["epoch"]

        def run_finished(self, run):
            assert run.length == (2, 2, 100)
            np.testing.assert_array_equal(run.model.fc.bias.numpy(), seen[-1][3])

    toy_run.train(tmp_path, callbacks=[Look()], accumulate=2, **SHORT)
    assert [steps for _, steps, *_ in seen] == [1, 2, 3, 4]
    assert len({rate for *_, rate, _ in seen}) == 4                  # of the schedule


def test_callbacks_change_nothing_by_themselves(tmp_path):
    toy_run.train(tmp_path / "a")
    toy_run.train(tmp_path / "b", callbacks=[Notes()])
    assert_same_end(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("wrong", [Notes, 3, print])
def test_what_is_no_callback(tmp_path, wrong):
    with pytest.raises(TypeError, match=r"in callbacks must be a train\.Callback; an object, not a class"):
        toy_run.train(tmp_path / "run", callbacks=[wrong])
    assert not (tmp_path / "run").exists()


# Stopping

class StopAt(Callback):
    """Stops in an event, when so many steps are finished."""

    def __init__(self, event, steps):
        setattr(self, event, lambda run, *row: run.stop("enough") if run.steps == steps else None)


@pytest.mark.parametrize(("event", "steps", "rows"), [
    ("epoch_started", 2, 1), ("epoch_finished", 2, 1), ("epoch_finished", 4, 2),
])
def test_a_stopped_run_is_finished(tmp_path, capsys, event, steps, rows):
    assert len(toy_run.train(tmp_path, callbacks=[StopAt(event, steps)], test_set=toy_run.DIGITS.take(20),
                             **SHORT)) == rows
    assert f"stopped after {rows} of 2 epochs: enough\n" in capsys.readouterr().out
    assert (tmp_path / "report.txt").exists()
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["position"]["stopped"]
    assert len(toy_run.train(tmp_path, resume=True, **SHORT)) == rows


def test_an_epoch_that_is_stopped_within_is_validated_and_saved(tmp_path):
    class Stop(Callback):
        def step_finished(self, run):
            if run.steps == 3:
                run.stop("enough")

    rows = toy_run.train(tmp_path, callbacks=[Stop()], **SHORT)
    assert [row["validation_loss"] is not None for row in rows] == [True, True]
    last, best = (load_checkpoint(tmp_path / name)[1] for name in ("last.safetensors", "best.safetensors"))
    assert (last["position"]["epoch"], best["epoch"]) in [(2, 1), (2, 2)]


def test_a_run_that_is_stopped_before_its_first_step(tmp_path):
    assert toy_run.train(tmp_path, callbacks=[StopAt("epoch_started", 0)], test_set=toy_run.DIGITS.take(20)) == []


# Errors

@pytest.mark.parametrize(("event", "call", "steps"), [
    ("run_started", 1, 0), ("epoch_started", 2, 2), ("step_finished", 1, 1), ("step_finished", 3, 3),
    ("epoch_finished", 1, 2), ("run_finished", 1, 4),
])
def test_an_error_ends_the_run_by_name_and_loses_nothing(tmp_path, event, call, steps):
    notes, error = Notes(), KeyError("spelling")
    with pytest.raises(KeyError) as caught:
        toy_run.train(tmp_path / "a", callbacks=[failing(event, error, call), notes], **SHORT)
    assert caught.value is error
    assert error.__notes__[0].startswith(f"in {event} of the callback Failing, after step ")
    position = load_checkpoint(tmp_path / "a" / "last.safetensors")[1]["position"]
    assert 2 * position["epoch"] + position["step"] == steps
    if event != "run_started":
        assert notes.heard[-1].startswith("run_finished")
        assert notes.error is error
    toy_run.train(tmp_path / "a", resume=True, **SHORT)
    toy_run.train(tmp_path / "b", **SHORT)
    assert_same_end(tmp_path / "a", tmp_path / "b")


def test_the_run_is_finished_after_a_signal(tmp_path):
    class Signal(Callback):
        def step_finished(self, run):
            if run.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)

    notes = Notes()
    with pytest.raises(Interrupted):
        toy_run.train(tmp_path, callbacks=[Signal(), notes], **SHORT)
    assert notes.heard[-1] == "run_finished 1.1"
    assert isinstance(notes.error, Interrupted)


def test_the_run_is_finished_after_an_error_of_training(tmp_path):
    def loss(logits, labels):
        return logits.sum() * float("nan")

    notes, failed = Notes(), failing("run_finished", OSError("no line"))
    with pytest.raises(NonFiniteError, match="the loss is nan") as caught:
        toy_run.train(tmp_path, callbacks=[failed, notes], loss=loss, validation_set=None, **SHORT)
    assert notes.error is caught.value
    assert caught.value.__notes__ == ["and then OSError: no line"]


def test_a_kill_is_no_business_of_callbacks(tmp_path):
    """What is no Exception passes through at once; the run is saved no further."""
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        toy_run.train(tmp_path, callbacks=[failing("step_finished", KeyboardInterrupt(), 2), notes], **SHORT)
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["position"]["step"] == 0


def test_no_live_curves_where_output_is_thrown_away(monkeypatch):
    """In a notebook, `display` needs a stdout; within redirect_stdout(None) there is none."""
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=print))
    assert in_notebook() is print
    with contextlib.redirect_stdout(None):
        assert in_notebook() is None
