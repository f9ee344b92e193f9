"""What the user sees while kernels are compiled: on a terminal, a line that is updated for each; elsewhere, one line.

How many kernels a network needs is not known before it has run, so the line says how many are done, which one is being
compiled, and how long it has taken so far. `record()` collects the same for `minidl compile`.
"""

import sys
import time
from contextlib import contextmanager

from numba.core import event

from minidl.kernels.cpu.runtime.second_process import start_second_process
from minidl.text import on_terminal

CLEAR = "\r\033[K"
names = {}                      # of the watched kernels, by their functions


class Progress(event.Listener):
    """Counts compiled kernels and their seconds, and shows them on stderr."""

    def __init__(self):
        self.done, self.seconds, self.began, self.shown = [], 0.0, None, False

    def on_start(self, event):
        """A function is about to be compiled; those that kernels call become part of them and do not count."""
        name = names.get(event.data["dispatcher"].py_func)
        if name is None or self.began is not None:
            return
        self.began = time.perf_counter()
        start_second_process()
        if sys.stderr is None:
            return
        if on_terminal():
            print(f"{CLEAR}minidl: compiling kernels for this processor: {len(self.done)} done, "
                  f"{self.seconds:.1f} s, now {name} ...", end="", file=sys.stderr, flush=True)
        elif not self.shown:
            print("minidl: compiling kernels for this processor; each is cached for later runs ...",
                  file=sys.stderr, flush=True)
        self.shown = True

    def on_end(self, event):
        """The function is compiled, or has failed."""
        name = names.get(event.data["dispatcher"].py_func)
        if name is None or self.began is None:
            return
        spent, self.began = time.perf_counter() - self.began, None
        self.seconds += spent
        self.done.append((name, spent))
        if on_terminal():
            print(CLEAR, end="", file=sys.stderr, flush=True)


progress = Progress()
event.register("numba:compile", progress)


def watch(dispatcher):
    """Count and show when a kernel is compiled."""
    names[dispatcher.py_func] = dispatcher.py_func.__name__


@contextmanager
def record():
    """Yields a list that grows by (name, seconds) for each kernel compiled meanwhile."""
    before, found = len(progress.done), []
    try:
        yield found
    finally:
        found += progress.done[before:]
