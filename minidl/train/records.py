"""The files that a run keeps up to date for people: `log.csv` and `curves.png`. They are callbacks like any other."""

import time

from minidl.report.curves import draw_curves
from minidl.report.log import Row, write_log
from minidl.train.callbacks import Callback
from minidl.train.interrupt import Interrupted
from minidl.train.run import Run

REDRAW = 30.0                                    # seconds between drawings of the curves; one takes half a second


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
            draw_curves(run.folder / "curves.png", run.position.rows, run.position.best["epoch"], run.folder.name)
            self.drawn = time.perf_counter()
