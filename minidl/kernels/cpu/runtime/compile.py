"""`@kernel`: compile a function of loops for this processor, once, and keep the result on disk.

Numba's cache looks at the file that a function stands in. Ours depend on each other across files, and on the vector
width; so the stamp that decides whether a cached kernel is still good covers every source of this folder and the
target. The first time anything must really be compiled, one line on stderr says so.
"""

import functools
import hashlib
import sys
import threading
from pathlib import Path

import numba
from numba.core import event

from minidl.kernels.cpu.runtime.target import TILE_ROWS, VECTOR_BYTES
from minidl.kernels.cpu.runtime.threads import come_home, thread_count

pool = threading.Lock()


def stamp():
    """A value that changes whenever compiled kernels are out of date."""
    digest = hashlib.sha256(f"{VECTOR_BYTES} {TILE_ROWS}".encode())
    for path in sorted(Path(__file__).parents[2].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


STAMP = stamp()

# A function that other kernels call: it becomes part of them.
inner = functools.partial(numba.njit, error_model="numpy", nogil=True)


def kernel(function):
    """Compile `function(threads, ...)`; the caller leaves out `threads`, how many of the pool's threads it may use.

    Python's own lock is released while a kernel runs. One kernel runs at a time: they would share the same cores.
    """
    options = {"parallel": True, "nogil": True, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
        compiled._cache._cache_file._source_stamp = STAMP
    except RuntimeError:                     # no folder to cache in: compile in every process
        compiled = numba.njit(**options)(function)

    @functools.wraps(function)
    def run(*arguments):
        with pool:
            come_home()
            return compiled(thread_count(), *arguments)
    return run


class Announcement(event.Listener):
    """Says once, on stderr, that kernels are being compiled."""

    made = False

    def on_start(self, event):
        if not self.made and event.data["dispatcher"].__module__.startswith("minidl."):
            self.made = True
            print("minidl: compiling kernels for this processor; it happens once and takes some seconds ...",
                  file=sys.stderr, flush=True)

    def on_end(self, event):
        """Nothing to say."""


event.register("numba:compile", Announcement())
