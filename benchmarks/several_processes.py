"""LeNet-5 with batches of 128: images per second of one, two and three processes that train simultaneously.

Each process first has the default of one thread per core, then a single thread. The processes warm up, wait for each
other, and train at the same time. Run: `python benchmarks/several_processes.py`.
"""

import os
import subprocess
import sys
import time

import numpy as np

import minidl.functional as F
from minidl import Tensor, optim
from zoo import lenet5

BATCH, SECONDS = 128, 3


def train():
    """One process: warm up, report that, wait for a line of input, train, and print the rate."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((BATCH, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, BATCH)
    model = lenet5()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(images)), labels).backward()
        optimizer.step()

    for _ in range(10):
        step()
    print("ready", flush=True)
    input()
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        step()
        steps += 1
    print(steps * BATCH / (time.perf_counter() - begin))


def together(count, **environment):
    """The rates of `count` simultaneous processes."""
    processes = [subprocess.Popen([sys.executable, __file__, "train"], env=os.environ | environment, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in processes]


def main():
    """Measure, print and store the figures."""
    result = {}
    for threads, environment in (("a thread for each core", {}), ("one thread", {"NUMBA_NUM_THREADS": "1"})):
        rates = result[threads] = [together(count, **environment) for count in (1, 2, 3)]
        for each in rates:
            print(f"{len(each)} processes, {threads}: {', '.join(f'{rate:.0f}' for rate in each)} images/s, "
                  f"in total {sum(each) / rates[0][0]:.0%} of one process")
    import common  # imported last: the processes must not inherit its thread settings
    common.save("several_processes", {"unit": "images/s", "batch": BATCH, **result})


if __name__ == "__main__":
    train() if sys.argv[1:] == ["train"] else main()
