"""What a run keeps up to date for people: `log.csv`, `curves.png`, and curves in a notebook. All are callbacks."""

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.plot import Picture
from minidl.report.curves import curves, draw_curves
from minidl.report.log import Row, write_log
from minidl.train.callbacks import Callback
from minidl.train.interrupt import Interrupted
from minidl.train.run import Run

REDRAW = 30.0                                    # seconds between drawings of the curves; one takes half a second
LIVE = 3.0                                       # and in a notebook


class LogFile(Callback):
    """Writes log.csv: a line for each epoch. The rows are part of the run, so a resumed run has each line once."""

    def run_started(self, run: Run) -> None:
        if run.position.rows:
            write_log(run.folder / "log.csv", run.position.rows)

    def epoch_finished(self, run: Run, row: Row) -> None:
        write_log(run.folder / "log.csv", run.position.rows)


class Curves(Callback):
    """Draws curves.png, now and then, and at the end."""

    def run_started(self, run: Run) -> None:
        self.drawn = time.perf_counter()

    def epoch_finished(self, run: Run, row: Row) -> None:
        if time.perf_counter() - self.drawn >= REDRAW:
            self.draw(run)

    def run_finished(self, run: Run) -> None:
        if run.error is None or isinstance(run.error, Interrupted):
            self.draw(run)

    def draw(self, run: Run) -> None:
        """Draw the curves, if an epoch is finished."""
        if run.position.best:
            draw_curves(run.folder / "curves.png", run.position.rows, run.position.best["epoch"], run.folder.name,
                        name_of(run.model))
            self.drawn = time.perf_counter()


class LiveCurves(Callback):
    """Shows the curves in a notebook, below the cell, and draws them anew as the run goes on.

    display   IPython's function of this name
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self.display, self.handle, self.drawn = display, None, 0.0

    def epoch_finished(self, run: Run, row: Row) -> None:
        if time.perf_counter() - self.drawn >= LIVE:
            self.draw(run)

    def run_finished(self, run: Run) -> None:
        if run.position.best:
            self.draw(run)

    def draw(self, run: Run) -> None:
        """Draw the curves so far, in the place of the ones before."""
        best = run.position.best["epoch"] if run.position.best else 0
        figure = curves(run.position.rows, best, run.folder.name, name_of(run.model))
        shown = Picture(np.array([row["train_loss"] for row in run.position.rows]), figure)
        if self.handle is None:
            self.handle = self.display(shown, display_id=True)
        else:
            self.handle.update(shown)
        self.drawn = time.perf_counter()


def in_notebook() -> Callable[..., Any] | None:
    """IPython's function `display` where a notebook is being run; None elsewhere, and where output is thrown away."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if type(shell).__name__ != "ZMQInteractiveShell" or sys.stdout is None:      # of redirect_stdout(None)
        return None
    return importlib.import_module("IPython.display").display


def name_of(model: Any) -> str:
    """The name of a network in the zoo, or else that of its class."""
    return getattr(model, "architecture", {}).get("name", type(model).__name__)
