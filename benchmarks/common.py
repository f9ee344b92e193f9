"""Shared by the benchmarks: equal thread settings, alternating timings, results stored with date and machine.

Import this first: it pins OpenMP's threads before a library starts them, for minidl and PyTorch alike.
"""

import json
import os
import platform
import statistics
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_PROC_BIND", "true")
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None      # before OpenMP binds this thread
THREADS = len(CORES) if CORES else os.cpu_count()

import numba  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import minidl  # noqa: E402

torch.set_num_threads(THREADS)
RESULTS = Path(__file__).with_name("results")


def alternate(functions, rounds=15, seconds=0.02):
    """Median seconds per call of each function. They alternate, so that other load on the machine affects all alike.

    In each round every function runs for about `seconds`, after one call that wakes its thread pool. Every second round
    goes backwards, so that none always follows the same one, whose threads may still be awake.
    """
    counts = []
    for function in functions:
        function()
        begin = time.perf_counter()
        function()
        counts.append(max(1, int(seconds / (time.perf_counter() - begin))))
    times = [[] for _ in functions]
    for i in range(rounds):
        for function, count, taken in list(zip(functions, counts, times, strict=True))[::-1 if i % 2 else 1]:
            function()
            begin = time.perf_counter()
            for _ in range(count):
                function()
            taken.append((time.perf_counter() - begin) / count)
    return [statistics.median(t) for t in times]


def geometric_mean(ratios):
    """The n-th root of the product of n ratios."""
    return float(np.exp(np.mean(np.log(ratios))))


def machine():
    """The date, processor, threads and versions that a figure depends on."""
    return {
        "date": date.today().isoformat(),
        "processor": processor(),
        "threads": THREADS,
        "python": platform.python_version(),
        "minidl": minidl.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "torch": torch.__version__,
    }


def processor():
    """The processor's name and vector width."""
    from minidl.kernels.cpu.runtime import target
    return target.describe()


def save(name, result, verbose=True):
    """Write benchmarks/results/<name>.json; with `verbose`, print its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")
    if verbose:
        print(f"\nwritten to {path}")


def load(name):
    """The contents of benchmarks/results/<name>.json; {} if there is no such file."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}
