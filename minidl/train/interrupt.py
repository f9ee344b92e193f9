"""Ctrl-C that loses nothing: the step under way is finished, and then the run is told to stop.

The first SIGINT or SIGTERM is only noted, and `between` raises Interrupted before the next batch. From then on the
signals do what they did before, so a second Ctrl-C stops at once.
"""

import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and did so between two steps. `.signal` is the number of the signal."""

    def __init__(self, message, number):
        super().__init__(message)
        self.signal = number


class Interruption:
    """A context in which signals wait for the end of a step; nothing outside the main thread, where none arrive."""

    def __init__(self):
        self.signal, self.before = None, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def __exit__(self, *_):
        self.restore()

    def note(self, number, _frame):
        """Remember the first signal, and leave the next to whoever had it before."""
        self.signal = number
        self.restore()

    def restore(self):
        """Give the signals back to their former handlers."""
        while self.before:
            signal.signal(*self.before.popitem())

    def between(self, batches):
        """The batches one by one; raises Interrupted instead of going on, once a signal has come."""
        for batch in batches:
            self.check()
            yield batch
        self.check()

    def check(self):
        """Raise Interrupted if a signal has come."""
        if self.signal is not None:
            raise Interrupted(f"stopped by {signal.Signals(self.signal).name}", self.signal)
