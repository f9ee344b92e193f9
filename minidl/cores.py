"""The cores that this process may use.

OpenMP may bind the main thread to one core (OMP_PROC_BIND); threads started later inherit the binding and would compete
for that core. So the set is read before OpenMP starts, when this module is imported.
"""

import contextlib
import os
from collections.abc import Iterable

_mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def mine() -> set[int] | None:
    """The numbers of the cores; None where the system does not tell."""
    return _mine


def count() -> int:
    """How many there are."""
    return len(_mine) if _mine else os.cpu_count() or 1


def keep(cores: Iterable[int]) -> None:
    """Use these cores only, from now on: in the calling thread, and in all threads that are started later."""
    global _mine
    _mine = set(cores)
    use_all()


def use_all() -> None:
    """Allow the calling thread to run on every core of the process."""
    if _mine is not None:
        with contextlib.suppress(OSError):       # the process may have lost cores in the meantime
            os.sched_setaffinity(0, _mine)
