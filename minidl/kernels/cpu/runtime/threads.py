"""One pool of threads for all kernels: Numba's.

Four facts shape this file.
- Two pools that take turns (OpenBLAS's and this one, say) cost milliseconds at each switch. Matrix products therefore
  use this pool too.
- Threads that sleep between kernels may wake on one core and stay there until the scheduler's next tick, so that a call
  of 0.3 ms takes 8 ms. On Linux each worker is therefore pinned to a core, if the pool has a thread for every core.
  Several processes at once then have one thread each on every core. The main thread is not pinned, because threads and
  programs that it starts inherit its affinity. It is moved back to the core that the workers leave free only when the
  system has put it on a worker's core.
- OpenMP's threads do not survive a fork, and its runtime ends a child that starts a parallel loop. A child forked after
  the pool has started therefore runs each kernel in the calling thread alone (`fork.py`).
- Threads that wait for each other spin, by default for milliseconds. Two processes on the same cores then spend each
  other's time slices spinning, and run 10 times slower. The threads of this pool spin for the length of a short
  kernel, then sleep.
"""

import ctypes
import multiprocessing
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import numba
from numba.np.ufunc import parallel

from minidl.kernels.cpu.runtime.launcher import empty_part, launcher, start_pool
from minidl.kernels.cpu.runtime.work import ceil_div

SPINS = "10000"        # about 100 microseconds
current_core = getattr(ctypes.CDLL(None), "sched_getcpu", None) if os.name == "posix" else None
main_core = None            # the core that pinned workers leave to the thread that starts kernels
count = None                # of the threads of the pool; None until it is started
bound = None                # the cores of the main thread (before, after) it was started, if OpenMP bound it
turn = threading.RLock()    # one kernel runs at a time: they share the cores. Re-entrant, because a signal handler that
                            # interrupts a thread, between two of its steps, may run an operation

if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]     # fastest to start a loop first


def thread_count():
    """The number of threads of the pool. The first call starts it and pins its workers."""
    global count
    if count is None:
        with turn:
            start()
            count = numba.config.NUMBA_NUM_THREADS
    return count


def start():
    """Start the pool, and pin its workers."""
    global main_core, bound
    if not parallel._is_initialized:
        numba.config.NUMBA_NUM_THREADS = parallel.NUM_THREADS = wanted_threads()     # Numba reads both
    with short_spin():
        launcher(), empty_part()                   # compiling may import SciPy, which has threads of its own
        before, allowed = tasks(), affinity()
        start_pool()
    workers, cores = sorted(tasks() - before), sorted(affinity())
    bound = (allowed, affinity()) if allowed != affinity() else None
    if may_pin() and len(workers) + 1 == len(cores):
        for worker, core in zip(workers, cores[1:], strict=True):
            os.sched_setaffinity(worker, {core})
        main_core = cores[0] if workers and current_core else None


def alone_after_fork():
    """In a child process, which has none of the pool's threads: one thread from now on, on any core."""
    global count, main_core
    if parallel._is_initialized:
        count, main_core = 1, None
    if bound is not None and affinity() == bound[1]:
        os.sched_setaffinity(0, bound[0])


def affinity():
    """The cores that the calling thread may use, where the system tells (Linux)."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def return_to_main_core():
    """Move the calling thread to the core that the workers leave free, if it runs on another.

    Two threads of the pool on one core would take turns, and wait for each other, in every kernel.
    """
    if main_core is not None and current_core() != main_core:
        allowed = os.sched_getaffinity(0)
        if main_core in allowed:
            try:
                os.sched_setaffinity(0, {main_core})
            finally:                               # also if a signal handler raises in between
                os.sched_setaffinity(0, allowed)


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
    """The cores' worth of time that a container may use (Linux, cgroup v2), rounded up; infinity if unlimited."""
    try:
        path = next(line[3:] for line in Path(own).read_text().splitlines() if line.startswith("0::"))
        limit, period = Path(f"{groups}{path}/cpu.max").read_text().split()
        return ceil_div(int(limit), int(period))
    except (OSError, StopIteration, ValueError):             # no such system, or the limit is "max"
        return float("inf")


@contextmanager
def short_spin():
    """Let GNU's OpenMP, which reads its settings when it is loaded, spin for SPINS rounds, unless the user chose."""
    chosen = "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]         # child processes choose for themselves


def may_pin():
    """Whether this process may pin its workers: not if OpenMP does, nor in a worker process of multiprocessing."""
    chosen = "OMP_PROC_BIND" in os.environ or "GOMP_CPU_AFFINITY" in os.environ or os.environ.get("MINIDL_PIN") == "0"
    return not chosen and multiprocessing.parent_process() is None


def tasks():
    """The ids of this process's threads, where the system lists them (Linux)."""
    try:
        return set(map(int, os.listdir("/proc/self/task")))
    except OSError:
        return set()
