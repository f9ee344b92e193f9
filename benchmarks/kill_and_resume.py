"""Does a run survive `kill -9`? Kills the LeNet example at random times, resumes it, and compares the results bitwise.

    python benchmarks/kill_and_resume.py [--kills 50]

The first run is not interrupted. Then runs of the same command are killed and resumed until they finish, one after
another, until the number of kills is reached. Each must end with the same saved state as the uninterrupted run.
"""

import argparse
import contextlib
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minidl.io import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "examples/train_lenet_mnist.py", "--dataset", "digits", "--validation", "500",
           "--epochs", "6", "--checkpoint-interval", "0.03", "--resume", "auto", "--output-dir"]
PAUSE = 0.1                                      # average seconds between a checkpoint and the kill


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="seed for the times of the kills")
    parser.add_argument("--dry-run", action="store_true", help="do not write the result")
    args = parser.parse_args()
    times = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as root:
        saves = follow(start(Path(root, "uninterrupted")), Path(root, "uninterrupted"))
        expected = contents(Path(root, "uninterrupted"))
        print(f"the uninterrupted run saves {saves} checkpoints\n")
        kills, ends = [], []
        while len(kills) < args.kills:
            folder = Path(root, f"run-{len(ends)}")
            while killed(folder, times.randint(-1, saves // 2), times.expovariate(1 / PAUSE)):
                kills.append(found(folder))
                print(f"kill {len(kills):3} of run {len(ends)}: {kills[-1]}", flush=True)
            ends.append(contents(folder) == expected)
            print(f"         run {len(ends) - 1} ended with {'the same' if ends[-1] else 'DIFFERENT'} bits", flush=True)
    print(f"\n{len(kills)} kills in {len(ends)} runs; {sum(ends)} ended with the same bits as the uninterrupted one")
    if not args.dry_run:
        from common import save  # imported here because it needs PyTorch, which the rest does not

        save("kill_and_resume", {"kills": len(kills), "runs": len(ends), "same_bits": sum(ends), "found": kills,
                                 "command": COMMAND[1:-1]})
    return 0 if all(ends) else 1


def follow(process, folder, limit=math.inf):
    """Wait until the run has replaced its checkpoint `limit` times or has ended; returns the number of times."""
    saves, seen = -1, None                       # the initial checkpoint does not count
    while saves < limit and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            stamp = (folder / "last.safetensors").stat().st_mtime_ns
            saves, seen = saves + (stamp != seen), stamp
        time.sleep(0.002)
    return saves


def killed(folder, saves, pause):
    """Start or resume the run, and kill it `pause` seconds after `saves` checkpoints; False if it ended before that."""
    process = start(folder)
    follow(process, folder, saves)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(pause)
    if process.poll() is None:
        process.kill()
        process.wait()
        return True
    if process.returncode:
        raise SystemExit(f"a run failed with exit code {process.returncode}")
    return False


def start(folder):
    """Start the run in a process of its own, as a user would, showing only errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*COMMAND, str(folder)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def found(folder):
    """A description of the state that a kill left behind."""
    if not (folder / "last.safetensors").exists():
        return "no checkpoint yet"
    position = load_checkpoint(folder / "last.safetensors")[1]["position"]
    writing = ", while a file was being written" if list(folder.glob(".*.part")) else ""
    return f"epoch {position['epoch'] + 1}, step {position['step']}{writing}"


def contents(folder):
    """Everything that a finished run has saved, without timings: arrays as bytes, other values as they are."""
    parts = []
    for name in ("last.safetensors", "best.safetensors"):
        arrays, facts = load_checkpoint(folder / name)
        parts.append(({key: (array.shape, array.tobytes()) for key, array in arrays.items()}, timeless(facts)))
    return parts


def timeless(value):
    """The same values without timings."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "seconds"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
