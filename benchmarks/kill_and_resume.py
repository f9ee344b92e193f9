"""Does a run survive `kill -9`? Kills examples at random times, resumes them, and compares the results bitwise.

    python benchmarks/kill_and_resume.py [--kills 50] [--augmented-kills 10] [--rank-kills 50]

LeNet-5 trains on drawn digits, and ResNet-20 on images like CIFAR-10's with random crops, flips, RandAugment, MixUp or
CutMix, label smoothing and an average of the weights; each run of the latter has another number of batches made ahead.
The first run of each is not interrupted. Then runs of the same command are killed and resumed until they finish, one
after another, until the number of kills is reached. Each must end with the same saved state as the uninterrupted run.
With --rank-kills, LeNet-5 also trains on two ranks (extra `mpi`), and each kill hits one of them at random. A kind of
run with 0 kills is left out, and its earlier results stay in the file.
"""

import argparse
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from minidl.io import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent
ENDLESS = ["--resume", "auto", "--output-dir"]
DIGITS = [sys.executable, "examples/train_lenet_mnist.py", "--dataset", "digits", "--validation", "500",
          "--epochs", "6", "--checkpoint-interval", "0.03", *ENDLESS]
RANKS = ["mpiexec", "-n", "2", *DIGITS[:-3], "--distributed", *ENDLESS]
AUGMENTED = [sys.executable, "benchmarks/kill_and_resume.py", "--train", *ENDLESS]
PAUSE = 0.1                                      # average seconds between a checkpoint and the kill


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="number of kills of LeNet-5")
    parser.add_argument("--augmented-kills", type=int, default=10, help="number of kills of ResNet-20")
    parser.add_argument("--rank-kills", type=int, default=0, help="number of kills of a rank of LeNet-5")
    parser.add_argument("--seed", type=int, default=0, help="seed for the times of the kills")
    parser.add_argument("--dry-run", action="store_true", help="do not write the result")
    args = parser.parse_args()
    results = {name: survived(command, kills, random.Random(args.seed))
               for name, command, kills in (("digits", DIGITS, args.kills),
                                            ("augmented", AUGMENTED, args.augmented_kills),
                                            ("ranks", RANKS, args.rank_kills)) if kills}
    if not args.dry_run:
        from common import RESULTS, save  # imported here because it needs PyTorch, which the rest does not

        earlier = json.loads((RESULTS / "kill_and_resume.json").read_text())
        del earlier["machine"]
        save("kill_and_resume", earlier | results)
    return 0 if all(result["same_bits"] == result["runs"] for result in results.values()) else 1


def survived(command, count, times):
    """Kill and resume runs of the command until there are `count` kills; what came of it, as a dictionary."""
    with tempfile.TemporaryDirectory() as root:
        saves = follow(start(command, Path(root, "uninterrupted")), Path(root, "uninterrupted"))
        expected = contents(Path(root, "uninterrupted"))
        print(f"the uninterrupted run saves {saves} checkpoints\n", flush=True)
        kills, ends = [], []
        while len(kills) < count:
            folder = Path(root, f"run-{len(ends)}")
            while len(kills) < count and killed(command, folder, times, saves, prefetch=len(kills) % 3):
                kills.append(found(folder))
                print(f"kill {len(kills):3} of run {len(ends)}: {kills[-1]}", flush=True)
            follow(start(command, folder), folder)
            ends.append(contents(folder) == expected)
            print(f"         run {len(ends) - 1} ended with {'the same' if ends[-1] else 'DIFFERENT'} bits", flush=True)
    print(f"\n{len(kills)} kills in {len(ends)} runs; {sum(ends)} ended with the same bits as the uninterrupted one")
    return {"date": date.today().isoformat(), "kills": len(kills), "runs": len(ends), "same_bits": sum(ends),
            "found": kills, "command": [Path(word).name if word == sys.executable else word for word in command[:-1]]}


def train_augmented(arguments):
    """A run on images like those of CIFAR-10, with everything random that a run may have."""
    import minidl
    import zoo
    from minidl import augment, optim, train
    from minidl.data import ImageDataset

    parser = train.training_parser("augmented", "", epochs=3, batch_size=32, lr=0.05)
    args = train.parse(parser, ["--checkpoint-interval", "0.1", *arguments])
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (10, 3, 8, 8), dtype=np.uint8).repeat(4, 2).repeat(4, 3)
    labels = rng.integers(0, 10, 800)
    images = ImageDataset((patterns[labels] // 2 + rng.integers(0, 128, (800, 3, 32, 32))).astype(np.uint8), labels,
                          range(10), "patterns", (0.5,) * 3, (0.25,) * 3)
    validation_set, train_set = images.split(160, seed=1)
    train_set = train_set.augmented(augment.Compose([
        augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip(), augment.RandAugment(), augment.Cutout(8)]))
    minidl.manual_seed(args.seed)
    model = zoo.create("resnet20", width=8)
    optimizer = optim.SGD(model.named_parameters(), args.lr, 0.9, weight_decay=5e-4, nesterov=True)
    schedule = optim.OneCycleLR(optimizer, args.lr, args.epochs * 20)
    settings = train.fit_settings(args) | {"mix": [augment.MixUp(0.2), augment.CutMix()], "label_smoothing": 0.1,
                                           "ema_decay": 0.99, "clip_norm": 5.0, "freeze": {"conv1": 1}}
    train.fit(model, optimizer, train_set, validation_set, schedule=schedule, **settings)


def follow(process, folder, limit=math.inf):
    """Wait until the run has replaced its checkpoint `limit` times or has ended; returns the number of times."""
    saves, seen = -1, None                       # the initial checkpoint does not count
    while saves < limit and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            stamp = (folder / "last.safetensors").stat().st_mtime_ns
            saves, seen = saves + (stamp != seen), stamp
        time.sleep(0.002)
    return saves


def killed(command, folder, times, saves, prefetch):
    """Start or resume the run, and kill it at a random time; False if it ended before that.

    saves      the number of checkpoints of a run
    prefetch   the number of batches that it makes ahead
    """
    limit, pause = times.randint(-1, max(1, saves // 2)), times.expovariate(1 / PAUSE)
    process = start(command, folder, "--workers", str(prefetch))
    follow(process, folder, limit)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(pause)
    while process.poll() is None:
        if victims := [process.pid] if command is not RANKS else ranks_of(process):
            os.kill(times.choice(victims), signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.01)                         # the launcher has not started them yet
    if process.returncode:
        raise SystemExit(f"a run failed with exit code {process.returncode}")
    return False


def ranks_of(launcher):
    """The processes below a launcher that run Python (Linux)."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):       # it has ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    below = {launcher.pid}
    for _ in parents:
        below |= {child for child, parent in parents.items() if parent in below}
    found = []
    for child in sorted(below):
        with contextlib.suppress(OSError):
            program = Path(f"/proc/{child}/cmdline").read_bytes().partition(b"\0")[0].decode()
            found += [child] * (Path(program).name == Path(sys.executable).name)
    return found


def start(command, folder, *more):
    """Start the run in a process of its own, as a user would, showing only errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT),
                   "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
    return subprocess.Popen([*command, str(folder), *more], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


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
    sys.exit(train_augmented(sys.argv[2:]) if sys.argv[1:2] == ["--train"] else main())
