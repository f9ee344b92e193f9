"""LeNet-5 on MNIST as its user starts it: seconds from the command to the test accuracy, eager and as a CUDA graph.

Where MNIST is not at hand, and on a CPU, the built-in digits take its place.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from parts import Part

from minidl import data


def run(part, flags, seconds):
    """The seconds and the test accuracy of one run; of one that is stopped, what it printed last."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "examples/train_lenet_mnist.py", "--device", part.args.device, "--output-dir",
                   str(Path(folder) / "run"), *flags]
        begin = time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired as late:
            return {"stopped_after_s": seconds, "last": (late.stdout or b"").decode(errors="replace").splitlines()[-3:]}
    lines = done.stdout.strip().splitlines()
    accuracy = re.search(r"accuracy:? +([\d.]+)%", "\n".join(lines[::-1]))
    found = {"seconds": round(time.perf_counter() - begin, 2), "test_accuracy": accuracy and float(accuracy[1]),
             "seconds_of_epochs": [float(s) for s in re.findall(r"([\d.]+) s$", done.stdout, re.M)]}
    return found if done.returncode == 0 else found | {"error": done.stderr[-500:]}


def have_mnist():
    try:
        data.load("mnist", "test", None)
    except (ValueError, OSError):
        return False
    return True


def main():
    part = Part("lenet", __doc__)
    if not part.on_gpu:
        small = ["--dataset", "digits", "--epochs", "2", "--limit", "2000", "--validation", "200"]
        part.attempt("eager", lambda: run(part, small, 200))
        return
    dataset = ["--dataset", "mnist" if have_mnist() else "digits"]
    part.attempt("eager", lambda: run(part, dataset, 40))
    part.attempt("graph", lambda: run(part, [*dataset, "--graph"], 25))


if __name__ == "__main__":
    main()
