"""Shared by the parts of the check: arguments, results kept after each figure, the machine, times by events."""

import argparse
import json
import platform
import statistics
import subprocess
import time
import traceback
from contextlib import suppress
from pathlib import Path


class Part:
    """One part of the check: its arguments, and its results, written to <out>/<name>.json after each figure."""

    def __init__(self, name, description, **flags):
        parser = argparse.ArgumentParser(description=description.partition("\n")[0])
        parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"])
        parser.add_argument("--out", type=Path, required=True)
        for flag, what in flags.items():
            parser.add_argument(f"--{flag}", **what)
        self.args = parser.parse_args()
        self.on_gpu = self.args.device == "gpu"
        self.path = self.args.out / f"{name}.json"
        self.results = {"machine": machine(self.on_gpu)}
        self.save()

    def save(self):
        self.path.write_text(json.dumps(self.results, indent=1, default=str) + "\n")

    def attempt(self, name, function, into=None):
        """Keep function() under `name`, or the error: one failure must not cost the other figures."""
        into = self.results if into is None else into
        try:
            into[name] = function()
        except Exception as error:
            into[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
            traceback.print_exc(limit=4)
        print(name, json.dumps(into[name], default=str)[:200], flush=True)
        self.save()


def machine(on_gpu):
    """The date, versions, card and driver that a figure depends on."""
    facts = {"date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
             "device": "gpu" if on_gpu else "cpu"}
    for name in ("minidl", "numpy", "numba", "cupy", "torch"):
        with suppress(ImportError):
            facts[name] = __import__(name).__version__
    if on_gpu:
        import torch
        card = torch.cuda.get_device_properties(0)
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        facts |= {"card": card.name, "multiprocessors": card.multi_processor_count,
                  "compute_capability": f"{card.major}.{card.minor}", "cudnn": torch.backends.cudnn.version(),
                  "driver": subprocess.run(query, capture_output=True, text=True).stdout.strip()}
    return facts


def event_ms(function, count=10, repeats=5):
    """The median milliseconds of one call by CuPy's events, over `count` groups of `repeats` calls in a row."""
    import cupy
    return grouped(function, count, repeats, cupy.cuda.Event, lambda event: event.record(),
                   lambda begin, end: cupy.cuda.get_elapsed_time(begin, end))


def torch_ms(function, count=10, repeats=5):
    """`event_ms` for work of PyTorch."""
    import torch
    return grouped(function, count, repeats, lambda: torch.cuda.Event(enable_timing=True),
                   lambda event: event.record(), lambda begin, end: begin.elapsed_time(end))


def grouped(function, count, repeats, event, record, elapsed):
    for _ in range(3):
        function()
    times = []
    for _ in range(count):
        begin, end = event(), event()
        record(begin)
        for _ in range(repeats):
            function()
        record(end)
        end.synchronize()
        times.append(elapsed(begin, end) / repeats)
    return round(statistics.median(times), 4)
