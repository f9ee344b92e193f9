"""Time to the first training step, and peak memory, of minidl and PyTorch, each in separate processes.

    import        `import minidl` with all files in the file cache
    first step    from the start of Python to the end of LeNet-5's first training step, with nothing compiled (an empty
                  cache folder, as after a fresh clone) and with compiled kernels on disk
    peak memory   of training LeNet-5 on 12,000 drawn digits for two epochs, including the libraries

Run: `python benchmarks/start_and_memory.py`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import common

MINIDL_STEP = """
import numpy as np
import minidl.functional as F
from minidl import Tensor, optim
from zoo import lenet5
model = lenet5()
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(Tensor(x)), y)
    loss.backward()
    optimizer.step()
    return float(loss)
"""
TORCH_STEP = """
import torch
import torch.nn as nn, torch.nn.functional as F
model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
def step(x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    optimizer.step()
    return loss.item()
"""
ONE_STEP = "import numpy as np; step(np.ones((128, 1, 28, 28), np.float32), np.zeros(128, np.int64))"
TWO_EPOCHS = """
import resource
from minidl.data import DataLoader, digits
loader = DataLoader(digits(), shuffle=True)
for epoch in range(2):
    for x, y in loader:
        step(x, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run(code, **environment):
    """(seconds, output) of a new Python process."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin, done.stdout


def seconds(code, times=5):
    """Median seconds of a process, after one run that warms the file cache."""
    run(code)
    return statistics.median(run(code)[0] for _ in range(times))


def main():
    """Measure, print and store the figures."""
    python = seconds("pass")
    result = {"import minidl (s)": seconds("import minidl") - python}
    with tempfile.TemporaryDirectory() as folder:
        result["first step, nothing compiled (s)"] = run(MINIDL_STEP + ONE_STEP, NUMBA_CACHE_DIR=folder)[0]
    result["first step, compiled before (s)"] = seconds(MINIDL_STEP + ONE_STEP)
    result["first step of PyTorch (s)"] = seconds(TORCH_STEP + ONE_STEP)
    for name, code in (("minidl", MINIDL_STEP), ("PyTorch", TORCH_STEP)):
        peaks = [float(run(code + TWO_EPOCHS)[1]) for _ in range(3)]
        result[f"peak memory of {name} (MiB)"] = statistics.median(peaks)
    for name, value in result.items():
        print(f"{name:36} {value:8.2f}")
    common.save("start_and_memory", result)


if __name__ == "__main__":
    main()
