"""Does a run survive `kill -9`? Kills the LeNet example at random moments, resumes it, and compares the end bit by bit.

    python benchmarks/kill_and_resume.py [--kills 50]

One run is left alone. Then runs of the same command are killed and resumed until they are finished, and more of them,
until the kills are used up. Each must end with the weights, and all else that is saved, of the one that was left alone.
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
PAUSE = 0.1                                      # seconds, on average, between a checkpoint and the kill


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--dry-run", action="store_true", help="write no result")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as root:
        saves = follow(start(Path(root, "undisturbed")), Path(root, "undisturbed"))
        undisturbed = contents(Path(root, "undisturbed"))
        print(f"left alone, the run saves {saves} checkpoints\n")
        kills, ends = [], []
        while len(kills) < args.kills:
            folder = Path(root, f"run-{len(ends)}")
            while killed(folder, moments.randint(-1, saves // 2), moments.expovariate(1 / PAUSE)):
                kills.append(found(folder))
                print(f"kill {len(kills):3} of run {len(ends)}: {kills[-1]}", flush=True)
            ends.append(contents(folder) == undisturbed)
            print(f"         run {len(ends) - 1} ended with {'the same' if ends[-1] else 'OTHER'} bits", flush=True)
    print(f"\n{len(kills)} kills in {len(ends)} runs, of which {sum(ends)} ended with the bits of the one left alone")
    if not args.dry_run:
        from common import save  # late: it needs PyTorch, for its version, which nothing else here does

        save("kill_and_resume", {"kills": len(kills), "runs": len(ends), "same_bits": sum(ends), "found": kills,
                                 "command": COMMAND[1:-1]})
    return 0 if all(ends) else 1


def follow(process, folder, most=math.inf):
    """Wait until the run has replaced its checkpoint `most` times, or has ended; returns how often it has."""
    saves, seen = -1, None                       # the checkpoint that it begins with does not count
    while saves < most and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            stamp = (folder / "last.safetensors").stat().st_mtime_ns
            saves, seen = saves + (stamp != seen), stamp
        time.sleep(0.002)
    return saves


def killed(folder, saves, pause):
    """Start or resume the run, and kill it `pause` seconds after so many checkpoints; False if it ended before."""
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
    """The run as its own process, as a user would start it, but silent; errors are shown."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*COMMAND, str(folder)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def found(folder):
    """What a kill left behind, in words."""
    if not (folder / "last.safetensors").exists():
        return "no checkpoint yet"
    position = load_checkpoint(folder / "last.safetensors")[1]["position"]
    writing = ", while a file was being written" if list(folder.glob(".*.part")) else ""
    return f"epoch {position['epoch'] + 1}, step {position['step']}{writing}"


def contents(folder):
    """All that a finished run has saved, but for the clock: arrays as bytes, facts as they are."""
    parts = []
    for name in ("last.safetensors", "best.safetensors"):
        arrays, facts = load_checkpoint(folder / name)
        parts.append(({key: (array.shape, array.tobytes()) for key, array in arrays.items()}, timeless(facts)))
    return parts


def timeless(value):
    """The same facts without what the clock said."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "seconds"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
