"""Starts a second process that compiles too, when the first kernel of an expected training has to be compiled.

Compiling occupies one core. The second process runs `cpu/ahead.py`, which compiles the kernels of a training step from
its end, while this one begins the step. Both use the same cache, and this process waits for a kernel that the other is
compiling (`cache.py`), so each compiles about half. `MINIDL_COMPILE_AHEAD=0` switches it off.
"""

import atexit
import json
import multiprocessing
import os
import subprocess
import sys

from minidl.kernels.cpu.runtime.cache import ROOT
from minidl.kernels.cpu.runtime.threads import wanted_threads
from minidl.kernels.training import expected

SWITCH = "MINIDL_COMPILE_AHEAD"
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []      # before OpenMP binds threads
PROCESS = os.getpid()
started = []                                 # the process


def start_second_process():
    """Start it, if training is expected and there is a core for it; at most once."""
    python = sys.executable and not getattr(sys, "frozen", False)        # a frozen program would start itself again
    wanted = python and expected and not started and os.environ.get(SWITCH, "1") != "0"
    is_child = os.getpid() != PROCESS or multiprocessing.parent_process() is not None      # one of several, perhaps
    if not wanted or is_child or wanted_threads() < 2:
        return
    optimizer, shapes = expected[0]
    environment = os.environ | {SWITCH: "0", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]),
                                "NUMBA_NUM_THREADS": "1", "OMP_PROC_BIND": "false"}
    command = [sys.executable, "-m", "minidl.kernels.cpu.ahead", *map(json.dumps, (optimizer, shapes, CORES))]
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(command, env=environment, **silent)
    started.append(process)
    atexit.register(process.terminate)
