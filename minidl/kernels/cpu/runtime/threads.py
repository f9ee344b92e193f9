"""One pool of threads for all kernels: Numba's.

Three facts shape this file. A second pool (OpenBLAS's, say) taking turns with this one costs milliseconds a switch, so
matrix products use this pool too. Threads that sleep between kernels may wake on one core and stay there until the
scheduler's next tick, which makes a call of 0.3 ms take 8 ms; so on Linux each worker is given a core of its own, if
the pool has a thread for every core: then several processes at once have one thread each on every core, none too many.
The main thread stays free to run anywhere: what it starts later, threads and programs, inherits its affinity. Only if
the system has put it on a worker's core, because another program is busy on its own, it is moved back before a kernel.
And threads that wait for each other spin, for milliseconds by default: two processes on the same cores then wait for
each other's waiting, and run 10 times slower than need be. Ours spin for the length of a short kernel and then sleep.
"""

import ctypes
import functools
import multiprocessing
import os
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
from numba.np.ufunc import parallel

SPINS = "10000"        # about 100 microseconds
current_core = getattr(ctypes.CDLL(None), "sched_getcpu", None) if os.name == "posix" else None
home = None            # the core that pinned workers leave to the thread that starts the kernels

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]     # the quickest to start a loop comes first


@functools.cache
def thread_count():
    """How many parts to cut the work of a kernel into: the number of threads.

    The first call starts the pool and gives each worker its core.
    """
    global home
    if not parallel._is_initialized:
        numba.config.NUMBA_NUM_THREADS = parallel.NUM_THREADS = wanted_threads()     # Numba asks both
    with spinning_shortly():
        touch.compile("void(int64[::1])")          # Numba may bring SciPy along, which has threads of its own
        before = tasks()
        touch(np.zeros(numba.config.NUMBA_NUM_THREADS, np.int64))
    workers = sorted(tasks() - before)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if may_pin() and len(workers) + 1 == len(cores):
        for worker, core in zip(workers, cores[1:], strict=True):
            os.sched_setaffinity(worker, {core})
        home = cores[0] if workers and current_core else None
    return numba.config.NUMBA_NUM_THREADS


def come_home():
    """Move the calling thread to the core that the workers leave to it, if it runs on another.

    Two threads of the pool on one core would take turns, and wait for each other, at every kernel.
    """
    if home is not None and current_core() != home:
        anywhere = os.sched_getaffinity(0)
        if home in anywhere:
            os.sched_setaffinity(0, {home})
            os.sched_setaffinity(0, anywhere)


def wanted_threads():
    """NUMBA_NUM_THREADS, else OMP_NUM_THREADS, else one for each core that this process may use."""
    config = numba.config
    if "NUMBA_NUM_THREADS" in os.environ or config.NUMBA_NUM_THREADS != config.NUMBA_DEFAULT_NUM_THREADS:
        return config.NUMBA_NUM_THREADS
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()          # a list is for nested loops
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return max(1, min(config.NUMBA_DEFAULT_NUM_THREADS, quota()))


def quota(groups="/sys/fs/cgroup", own="/proc/self/cgroup"):
    """The cores' worth of time that a container is given (Linux, cgroup v2), rounded up; without bound, infinity."""
    try:
        path = next(line[3:] for line in Path(own).read_text().splitlines() if line.startswith("0::"))
        limit, period = Path(f"{groups}{path}/cpu.max").read_text().split()
        return -(-int(limit) // int(period))
    except (OSError, StopIteration, ValueError):             # no such system, or the limit is "max"
        return float("inf")


@contextmanager
def spinning_shortly():
    """Let GNU's OpenMP, which reads its settings when it is loaded, spin for SPINS rounds; unless the user chose."""
    chosen = "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]         # programs that this one starts choose for themselves


def may_pin():
    """Whether the cores are this process's own to hand out: not if OpenMP does it, nor in one process of several."""
    chosen = "OMP_PROC_BIND" in os.environ or "GOMP_CPU_AFFINITY" in os.environ or os.environ.get("MINIDL_PIN") == "0"
    return not chosen and multiprocessing.parent_process() is None


def tasks():
    """The ids of this process's threads, where the system tells them (Linux)."""
    try:
        return set(map(int, os.listdir("/proc/self/task")))
    except OSError:
        return set()


@numba.njit(parallel=True, cache=True)
def touch(ids):
    """The smallest loop there is: running it starts the pool."""
    for i in numba.prange(len(ids)):
        ids[i] = i
