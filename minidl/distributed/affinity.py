"""Cores for ranks: each rank of a machine computes on cores of its own.

A launcher may have bound the ranks already: each to a core, or several to the cores of a socket. Ranks that may use the
same cores divide them, so that all of these cases, and a launcher that binds nothing, come out right.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from minidl import cores
from minidl.distributed.communicator import Communicator

TOPOLOGY = Path("/sys/devices/system/cpu")


def take_cores(communicator: Communicator) -> None:
    """Keep the cores of this rank alone, with a thread for each; every rank calls this, before kernels have started.

    With more ranks than cores, each rank has one thread, on any core.
    """
    allowed = cores.mine()
    said = communicator.all_gather([communicator.machine, None if allowed is None else sorted(allowed)])
    rivals = [rank for rank, each in enumerate(said) if each == said[communicator.rank]]
    if allowed is None:                          # the system does not tell
        threads = max(1, cores.count() // len(rivals))
    else:
        own = share(by_place(allowed), rivals.index(communicator.rank), len(rivals))
        threads = max(1, len(own))
        if own:
            cores.keep(own)
    if not {"NUMBA_NUM_THREADS", "OMP_NUM_THREADS"} & set(os.environ):
        os.environ["OMP_NUM_THREADS"] = str(threads)         # the kernels, and OpenMP, start as many


def share(items: Sequence[int], i: int, n: int) -> Sequence[int]:
    """The i-th of n parts, which differ by one item at most; nothing if there are fewer items than parts."""
    return items[i * len(items) // n:(i + 1) * len(items) // n] if len(items) >= n else []


def by_place(numbers: set[int]) -> list[int]:
    """The cores so that near ones are neighbours: by socket, then by core, whose hardware threads stay together."""
    def place(number: int) -> tuple[int, ...]:
        try:
            return tuple(int((TOPOLOGY / f"cpu{number}" / "topology" / name).read_text())
                         for name in ("physical_package_id", "core_id")) + (number,)
        except (OSError, ValueError):
            return 0, 0, number
    return sorted(numbers, key=place)
