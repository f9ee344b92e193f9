"""Callbacks: what is called while a run is trained. The library's own log, progress, curves and TensorBoard are some.

    class StopAfter(train.Callback):
        def __init__(self, seconds):
            self.end = time.monotonic() + seconds

        def step_finished(self, run):
            if time.monotonic() > self.end:
                run.stop("the time is up")

See `docs/training.md` for the order of calls, and for what a callback may do.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minidl.modes import NonFiniteError
from minidl.report.log import Row
from minidl.train.run import Run


class Callback:
    """Five methods that `fit(..., callbacks=[...])` calls; each does nothing until it is overridden.

    They are given the run (see `Run`): its model, optimizer, position, the loss of the last step, and so on. An error
    in one of them ends the run; the state after the last step is saved first.
    """

    def run_started(self, run: Run) -> None:
        """Before the first step, when a resumed run has been restored."""

    def epoch_started(self, run: Run) -> None:
        """Before the steps of an epoch; also before the remaining ones, if the run is resumed within the epoch."""

    def step_finished(self, run: Run) -> None:
        """After the weights were updated. `run.loss` is the loss of the step."""

    def epoch_finished(self, run: Run, row: Row) -> None:
        """After validation, when the epoch is saved. `row` is the epoch's line of log.csv."""

    def run_finished(self, run: Run) -> None:
        """After the last step, but also after Ctrl-C or an error, which is `run.error`. The weights are the last ones.

        It is called for each callback whose `run_started` has returned.
        """


class Callbacks:
    """Several callbacks, called one after another. An error gets a note that names the callback."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.all = tuple(callbacks)
        self.started: list[Callback] = []
        self.of_steps = [each for each in self.all if type(each).step_finished is not Callback.step_finished]

    def step_finished(self, run: Run) -> None:
        call(self.of_steps, "step_finished", run)

    def epoch_started(self, run: Run) -> None:
        call(self.all, "epoch_started", run)

    def epoch_finished(self, run: Run, row: Row) -> None:
        call(self.all, "epoch_finished", run, row)

    @contextmanager
    def told(self, run: Run) -> Iterator[None]:
        """A context for the run: `run_started` before it, and `run_finished` after it, however it ends."""
        try:
            for callback in self.all:
                call([callback], "run_started", run)
                self.started.append(callback)
            yield
        except BaseException as error:
            run.error = error
        self.finish(run)
        reason, run.error = run.error, None      # whose traceback refers to the run
        if reason is not None:
            raise reason

    def finish(self, run: Run) -> None:
        """Call `run_finished` of each callback, even if one fails. The run's own error matters, else the first one."""
        for callback in self.started:
            try:
                call([callback], "run_finished", run)
            except Exception as error:
                if run.error is None:
                    run.error = error
                else:
                    run.error.add_note(f"and then {type(error).__name__}: {error}")


def call(callbacks: Sequence[Callback], event: str, *arguments: Any) -> None:
    """Call the method `event` of each callback, one after another."""
    for callback in callbacks:
        try:
            getattr(callback, event)(*arguments)
        except NonFiniteError:                   # of the steps: a callback has asked for their sums
            raise
        except Exception as error:
            error.add_note(f"in {event} of the callback {type(callback).__name__}, after {arguments[0].here}")
            raise
