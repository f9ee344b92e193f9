"""Does a run survive `kill -9`? Kills the LeNet example at random moments, resumes it, and compares the end bit by bit.

    python benchmarks/kill_and_resume.py [--kills 50]

One run is left alone. Then runs of the same command are killed and resumed until they are finished, and more of them,
until the kills are used up. Each must end with the weights, and all else that is saved, of the one that was left alone.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minidl.io import load_checkpoint

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "examples/train_lenet_mnist.py", "--dataset", "digits", "--limit", "2500",
           "--validation", "500", "--epochs", "3", "--checkpoint-interval", "0.03", "--resume", "auto", "--output-dir"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--dry-run", action="store_true", help="write no result")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as root:
        undisturbed, startup, whole = left_alone(Path(root, "undisturbed"))
        print(f"left alone, the run takes {whole:.1f} s; its first step comes after {startup:.1f} s\n")
        kills, ends = [], []
        while len(kills) < args.kills:
            folder = Path(root, f"run-{len(ends)}")
            while not survives(folder, delay := moments.uniform(startup / 2, whole)):
                kills.append(found(folder))
                print(f"kill {len(kills):3} of run {len(ends)} after {delay:5.2f} s: {kills[-1]}", flush=True)
            ends.append(contents(folder) == undisturbed)
            print(f"             run {len(ends) - 1} is finished: {'the same bits' if ends[-1] else 'OTHER BITS'}")
    print(f"\n{len(kills)} kills in {len(ends)} runs, of which {sum(ends)} ended with the bits of the one left alone")
    if not args.dry_run:
        from common import save                  # needs PyTorch, for its version, which nothing else here does
        save("kill_and_resume", {"kills": len(kills), "runs": len(ends), "same_bits": sum(ends), "found": kills,
                                 "command": COMMAND[1:-1]})
    return 0 if all(ends) else 1


def left_alone(folder):
    """Run without a kill.   ->  (contents, seconds to the first checkpoint, seconds in all)"""
    begin, startup = time.perf_counter(), None
    process = start(folder)
    while process.poll() is None:
        if startup is None and (folder / "last.safetensors").exists():
            startup = time.perf_counter() - begin
        time.sleep(0.005)
    if process.returncode:
        raise SystemExit(f"the undisturbed run failed with exit code {process.returncode}")
    return contents(folder), startup, time.perf_counter() - begin


def survives(folder, delay):
    """Start or resume the run in `folder`; whether it is finished before it is killed after `delay` seconds."""
    process = start(folder)
    try:
        code = process.wait(delay)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    if code:
        raise SystemExit(f"the resumed run failed with exit code {code}")
    return True


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
        position = facts.pop("position", {"rows": []})
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in position["rows"]]
        parts.append(({key: (array.shape, array.tobytes()) for key, array in arrays.items()}, facts, rows))
    return parts


if __name__ == "__main__":
    sys.exit(main())
