"""The log of a run for TensorBoard, `tensorboard --logdir runs`. It needs tensorboardX: the extra `tensorboard`.

Events are written at once, and not by a thread of tensorboardX, whose errors nobody would see.
"""

import time
from types import SimpleNamespace
from typing import Any

from minidl.errors import for_command
from minidl.report.log import Row
from minidl.train.callbacks import Callback
from minidl.train.folder import RunError
from minidl.train.run import Run

INTERVAL = 2.0                                   # seconds between losses of steps


class TensorBoard(Callback):
    """Writes the columns of log.csv after each epoch, and the loss of a step every two seconds.

    The horizontal axis counts steps. A resumed run adds a file, which begins after the step where the run goes on: what
    was written after that step by the run that was killed is not shown.
    """

    def __init__(self) -> None:
        self.events = tensorboardx()

    def run_started(self, run: Run) -> None:
        folder = run.folder / "tensorboard"
        folder.mkdir(exist_ok=True)
        self.file, self.due = folder / f"events.out.tfevents.{time.time_ns()}", 0.0
        self.writer = self.events.RecordWriter(str(self.file))
        self.write(file_version="brain.Event:2")
        if run.steps:
            start = self.events.event_pb2.SessionLog(status=self.events.event_pb2.SessionLog.START)
            self.write(step=run.steps + 1, session_log=start)

    def step_finished(self, run: Run) -> None:
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + INTERVAL
            self.scalars(run.steps, {"loss/step": run.loss})

    def epoch_finished(self, run: Run, row: Row) -> None:
        self.scalars(run.steps, {tag(column): value for column, value in row.items() if value is not None})

    def run_finished(self, run: Run) -> None:
        self.writer.close()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write values at a step."""
        summaries = self.events.summary_pb2.Summary
        self.write(step=step, summary=summaries(value=[
            summaries.Value(tag=name, simple_value=value) for name, value in values.items()]))

    def write(self, **event: Any) -> None:
        """Write one event to the disk. Raises OSError, naming the file."""
        try:
            self.writer.write(self.events.event_pb2.Event(wall_time=time.time(), **event).SerializeToString())
            self.writer.flush()
        except OSError as error:
            raise OSError(error.errno, f"cannot write {self.file}: {error.strerror}") from error


def tag(column: str) -> str:
    """train_loss -> loss/train, so that TensorBoard draws it beside loss/validation."""
    part, _, name = column.partition("_")
    return f"{name}/{part}" if part in ("train", "validation") else f"run/{column}"


def tensorboardx() -> Any:
    """What is used of tensorboardX. Raises RunError, with the remedy, if it is missing."""
    try:
        from tensorboardX.proto import event_pb2, summary_pb2
        from tensorboardX.record_writer import RecordWriter
    except ImportError as error:
        rest = (f"needs the package tensorboardX ({error}); install it with `pip install 'minidl[tensorboard]'` or "
                "`pip install tensorboardX`")
        raise for_command(RunError(f"fit: tensorboard=True {rest}"), f"--tensorboard {rest}") from error
    return SimpleNamespace(event_pb2=event_pb2, summary_pb2=summary_pb2, RecordWriter=RecordWriter)
