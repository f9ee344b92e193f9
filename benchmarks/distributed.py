"""Two ranks of one thread against one process of two threads: images per second, and what waits for messages.

    python benchmarks/distributed.py [--steps 20] [--networks resnet20 vgg16_bn_cifar]

Both train on the same batches of 128 images. They alternate, each in processes of its own, so that other load on the
machine affects both. The median step of each counts. Needs the extra `mpi`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
BATCH, WARM_UP = 128, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20", "vgg16_bn_cifar"])
    parser.add_argument("--steps", type=int, default=20, help="steps in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--dry-run", action="store_true", help="do not write the result")
    args = parser.parse_args()
    found = {name: compared(name, args) for name in args.networks}
    print(f"{'network':20} {'1 process':>12} {f'{args.ranks} ranks':>12} {'ratio':>7} {'waiting':>9}   images/s; ms")
    for name, row in found.items():
        print(f"{name:20} {row['process']:12.0f} {row['ranks']:12.0f} {row['ratio']:7.3f} {row['waiting_ms']:9.2f}")
    if not args.dry_run:
        from common import save  # imported here because it needs PyTorch, which the rest does not

        save("distributed", {"ranks": args.ranks, "batch": BATCH, "networks": found})
    return 0


def compared(name, args):
    """The rates of both, as a dictionary."""
    times = {"process": [], "ranks": []}
    waiting = []
    for _ in range(args.rounds):
        for kind in times:
            result = timed(name, args.steps, args.ranks, alone=kind == "process")
            times[kind].append(result["seconds"])
            if kind == "ranks":
                waiting.append(result["waiting"])
    rates = {kind: BATCH / statistics.median(taken) for kind, taken in times.items()}
    return {**rates, "ratio": rates["ranks"] / rates["process"], "waiting_ms": 1000 * statistics.median(waiting)}


def timed(name, steps, ranks, alone, launcher=("mpiexec",), compress=False):
    """What one run prints: a process with a thread for each rank, or the ranks with one thread each.

    name       None: no network, but sums of a single number
    launcher   the command that starts ranks, without their number
    compress   whether gradients are sent as bfloat16
    """
    threads = str(ranks if alone else 1)
    surroundings = {**os.environ, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads,
                    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
                    "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])}
    start = [] if alone else [*launcher, "-n", str(ranks)]
    how = ["alone"] * alone + ["bfloat16"] * compress
    program = ["--messages"] if name is None else ["--train", name, str(steps), *how]
    command = [*start, sys.executable, str(HERE), *program]
    done = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def train(name, steps, *how):
    """Train some steps on all ranks; rank 0 prints the median seconds of a step, and of its waiting for sums."""
    import minidl
    import minidl.functional as F
    import zoo
    from minidl import Tensor, optim
    from minidl.distributed import MPI, Alone, GradientSum

    communicator = Alone() if "alone" in how else MPI()
    minidl.manual_seed(0)
    model = zoo.create(name)
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)
    gradients = GradientSum(optimizer.parameters, communicator, compress="bfloat16" if "bfloat16" in how else None)
    rng = np.random.default_rng(communicator.rank)
    count = BATCH // communicator.size
    images, labels = rng.standard_normal((count, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, count)
    seconds, waiting = [], []
    for _ in range(WARM_UP + int(steps)):
        begin = time.perf_counter()
        optimizer.zero_grad()
        gradients.expect()
        (F.cross_entropy(model(Tensor(images)), labels) * (1 / communicator.size)).backward()
        done = time.perf_counter()
        gradients.finish()
        waiting.append(time.perf_counter() - done)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    communicator.barrier()
    if communicator.rank == 0:
        print(json.dumps({"seconds": statistics.median(seconds[WARM_UP:]),
                          "waiting": statistics.median(waiting[WARM_UP:])}))


def messages():
    """Sum a number over all ranks again and again; rank 0 prints the median seconds."""
    from minidl.distributed import MPI

    communicator, number, seconds = MPI(), np.ones(1), []
    for _ in range(200):
        begin = time.perf_counter()
        communicator.all_reduce(number)
        seconds.append(time.perf_counter() - begin)
    if communicator.rank == 0:
        print(json.dumps({"seconds": statistics.median(seconds)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(*sys.argv[2:])
    elif sys.argv[1:2] == ["--messages"]:
        messages()
    else:
        sys.exit(main())
