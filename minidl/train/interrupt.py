"""Ctrl-C without loss: the current step is finished before the run stops.

The first SIGINT or SIGTERM is only noted, and `between` raises Interrupted before the next batch. The previous handlers
are restored at the same time, so a second Ctrl-C stops at once.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Item = TypeVar("Item")


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal, between two steps. `.signal` is the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number
        self.exit_code = 128 + number            # of a command that ends with it, see `errors.py`


class Interruption:
    """A context in which signals wait for the end of a step. It has no effect outside the main thread.

    alone   whether this process stops by itself; if not, it is told to by `heed`, when all processes have agreed
    """

    def __init__(self, alone: bool = True) -> None:
        self.alone = alone
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Remember the first signal, and leave the next one to the previous handler."""
        self.signal = number
        self.restore()

    def restore(self) -> None:
        """Reinstall the previous handlers."""
        while self.before:
            signal.signal(*self.before.popitem())

    def between(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The batches one by one; raises Interrupted before the next one if a signal has arrived."""
        for batch in batches:
            self.check()
            yield batch
        self.check()

    def check(self) -> None:
        """Raise Interrupted if a signal has arrived."""
        if self.alone:
            self.heed(self.signal)

    def heed(self, number: int | None) -> None:
        """Raise Interrupted if this is the number of a signal."""
        if number is not None:
            raise Interrupted(f"stopped by {signal.Signals(number).name}", number)
