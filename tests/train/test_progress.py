"""The progress bar on a terminal: its content, and its removal at the end. (For plain lines see test_fit.)"""

import io
import re
import sys
from types import SimpleNamespace

import pytest

from minidl.train import progress
from minidl.train.progress import Progress
from minidl.train.run import Length, Position

ROW = {"epoch": 2, "train_loss": 0.5, "train_accuracy": 0.8, "validation_loss": 0.25, "validation_accuracy": 0.9,
       "seconds": 1.25}


def a_run(position):
    """As much of a run of 5 epochs of 1000 images as is shown."""
    return SimpleNamespace(length=Length(5, 10, 1000), position=position, here=position)


@pytest.fixture
def terminal(monkeypatch):
    """A function that replaces stdout and stderr by a terminal; called in the test, after pytest's own capturing."""
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def attach(refresh):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(progress, "REFRESH", refresh)
        return screen
    return attach


def test_bar(terminal):
    screen = terminal(refresh=0)
    run = a_run(Position(epoch=1))
    bar = Progress(10.0)
    bar.run_started(run)
    run.position = run.here = Position(epoch=1, step=3, images=300, counted=300, correct=240, loss=150.0)
    bar.step_finished(run)
    run.position.best = ROW
    bar.epoch_finished(run, ROW)
    bar.run_finished(run)
    shown = screen.getvalue()
    assert re.search(r"epoch 2/5: .*1\.30k/5\.00k .*\[00:00<.* images/s, loss 0\.5000, accuracy 80\.00%", shown)
    line = "epoch 2/5   train loss 0.5000 accuracy 80.00%   validation loss 0.2500 accuracy 90.00% *   1.2 s"
    assert f"\r{line}\n" in shown
    assert shown.endswith("\r")                                      # the bar is erased


def test_steps_between_updates_print_nothing(terminal):
    screen = terminal(refresh=1000)
    run, bar = a_run(Position()), Progress(10.0)
    bar.run_started(run)
    before = screen.getvalue()
    run.position.images = 1
    for _ in range(100):
        bar.step_finished(run)
    assert screen.getvalue() == before
    bar.run_finished(run)
