"""Time to the first training step, and peak memory, of minidl and PyTorch, each in separate processes.

    import        `import minidl` with all files in the file cache
    first step    from the start of Python to the end of a network's first training step, with nothing compiled (an
                  empty cache folder, as after a fresh clone) and with compiled kernels on disk
    peak memory   of training LeNet-5 on 12,000 drawn digits for two epochs, including the libraries

Run: `python benchmarks/start_and_memory.py`. With `--beside CHECKOUT`, it measures the first steps of another checkout
of minidl too, in turns with this one's.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

ROOT = Path(__file__).parents[1]
NETWORKS = {"lenet5": (128, 1, 28, 28), "resnet20": (128, 3, 32, 32), "mobilenet_v1_cifar": (64, 3, 32, 32)}
MINIDL_STEP = """
import numpy as np
import minidl.functional as F
import zoo
from minidl import Tensor, optim
model = zoo.create("{name}")
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(Tensor(x)), y)
    loss.backward()
    optimizer.step()
    return float(loss)
"""
TORCH_STEP = """
import sys
sys.path.insert(0, "benchmarks")
import torch
import torch.nn.functional as F
import torch_zoo
model = torch_zoo.make("{name}").to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    optimizer.step()
    return loss.item()
"""
ONE_STEP = "import numpy as np; step(np.ones({shape}, np.float32), np.zeros({shape}[0], np.int64))"
TWO_EPOCHS = """
import resource
from minidl.data import DataLoader, digits
loader = DataLoader(digits(), shuffle=True)
for epoch in range(2):
    for x, y in loader:
        step(x, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run(code, checkout=ROOT, **environment):
    """(seconds, output) of a new Python process in a checkout of minidl, on all cores."""
    environment = os.environ | {"PYTHONPATH": str(checkout)} | environment
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=checkout, text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          preexec_fn=common.CORES and (lambda: os.sched_setaffinity(0, common.CORES)))
    return time.perf_counter() - begin, done.stdout


def seconds(code, times=5):
    """Median seconds of a process, after one run that warms the file cache."""
    run(code)
    return statistics.median(run(code)[0] for _ in range(times))


def first_steps(name, shape, sides, rounds):
    """Median seconds of a network's first step; the sides take turns."""
    step = (MINIDL_STEP + ONE_STEP).format(name=name, shape=shape)
    times = {}
    for _ in range(rounds):
        for side, checkout in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                for state in ("nothing compiled", "compiled before"):
                    times.setdefault(f"{side}, {state}", []).append(run(step, checkout, NUMBA_CACHE_DIR=folder)[0])
        times.setdefault("PyTorch", []).append(run((TORCH_STEP + ONE_STEP).format(name=name, shape=shape))[0])
    return {what: statistics.median(some) for what, some in times.items()}


def main():
    """Measure, print and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--beside", metavar="CHECKOUT", help="another checkout of minidl, whose first steps to measure")
    parser.add_argument("--rounds", type=int, default=3, help="of the first steps (default: 3)")
    args = parser.parse_args()
    sides = {"minidl": ROOT} | ({"other checkout": Path(args.beside).resolve()} if args.beside else {})
    result = {"import minidl (s)": seconds("import minidl") - seconds("pass")}
    for name, shape in NETWORKS.items():
        for what, value in first_steps(name, shape, sides, args.rounds).items():
            result[f"first step of {name}, {what} (s)"] = value
            print(f"first step of {name + ', ' + what:52} {value:8.2f}", flush=True)
    for side, code in (("minidl", MINIDL_STEP), ("PyTorch", TORCH_STEP)):
        peaks = [float(run(code.format(name="lenet5") + TWO_EPOCHS)[1]) for _ in range(3)]
        result[f"peak memory of {side} (MiB)"] = statistics.median(peaks)
    for name, value in result.items():
        print(f"{name:64} {value:8.2f}")
    common.save("start_and_memory", result)


if __name__ == "__main__":
    main()
