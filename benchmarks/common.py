"""What the benchmarks share: threads set alike, timings taken in turn, results kept with date and machine.

Import this first: it binds OpenMP's threads before any library starts them, for minidl and PyTorch alike.
"""

import json
import os
import platform
import statistics
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_PROC_BIND", "true")
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

import numba  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import minidl  # noqa: E402

torch.set_num_threads(THREADS)
RESULTS = Path(__file__).with_name("results")


def alternate(functions, rounds=15, seconds=0.02):
    """Median seconds of one call of each function, measured in turn so that a noisy neighbour hurts all alike.

    In each round every function runs for about `seconds`, first once to wake up its thread pool.
    """
    counts = []
    for function in functions:
        function()
        begin = time.perf_counter()
        function()
        counts.append(max(1, int(seconds / (time.perf_counter() - begin))))
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, count, taken in zip(functions, counts, times, strict=True):
            function()
            begin = time.perf_counter()
            for _ in range(count):
                function()
            taken.append((time.perf_counter() - begin) / count)
    return [statistics.median(t) for t in times]


def geometric_mean(numbers):
    """The n-th root of the product of n numbers: the mean for ratios."""
    return float(np.exp(np.mean(np.log(numbers))))


def machine():
    """What a figure depends on."""
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
    """The processor's name and whether it has AVX-512."""
    from minidl.kernels.cpu.runtime import target
    return target.describe()


def save(name, result, say=True):
    """Write benchmarks/results/<name>.json, and say so."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")
    if say:
        print(f"\nwritten to {path}")


def load(name):
    """What `save` wrote last; nothing if it never did."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}
