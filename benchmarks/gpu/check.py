"""Everything worth knowing on a machine with a GPU, by one command of under 8 minutes.

    python benchmarks/gpu/check.py                              # results go to benchmarks/results/gpu/
    python benchmarks/gpu/check.py --out FOLDER --parts kernels,steps --networks lenet5,resnet20
    python benchmarks/gpu/check.py --device cpu --out FOLDER    # the same, small, to try the scripts without a GPU

Each part runs in a process of its own under a time limit, and writes its own JSON after each figure, so that a part
that hangs costs no other's figures. Needed are CuPy, PyTorch with CUDA, and minidl's own dependencies; no network.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIMITS = {"ceilings": 35, "kernels": 90, "steps": 200, "lenet": 70, "suite": 90}     # seconds; 485 in all


def run(part, args):
    """What became of one part: its exit status, or that its time was over."""
    command = [sys.executable, str(HERE / f"{part}.py"), "--device", args.device, "--out", str(args.out)]
    if args.networks and part == "steps":
        command += ["--networks", args.networks]
    paths = [str(ROOT), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    begin = time.monotonic()
    try:
        status = subprocess.run(command, cwd=ROOT, env=surroundings, timeout=LIMITS[part]).returncode
        found = "done" if status == 0 else f"exit status {status}"
    except subprocess.TimeoutExpired:
        found = f"stopped at its limit of {LIMITS[part]} s"
    return f"{found}, {time.monotonic() - begin:.0f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="gpu", choices=["gpu", "cpu"], help="cpu runs all parts small")
    parser.add_argument("--out", type=Path, help="folder for the results (default: benchmarks/results/gpu; required "
                        "with --device cpu, whose figures say nothing about a GPU)")
    parser.add_argument("--parts", default=",".join(LIMITS), help="comma-separated: " + ", ".join(LIMITS))
    parser.add_argument("--networks", help="comma-separated networks of the part `steps`")
    args = parser.parse_args()
    parts = args.parts.split(",")
    if unknown := set(parts) - set(LIMITS):
        parser.error(f"--parts: {', '.join(sorted(unknown))} is none of {', '.join(LIMITS)}")
    if args.out is None:
        if args.device == "cpu":
            parser.error("--device cpu needs --out FOLDER")
        args.out = HERE.parent / "results" / "gpu"
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    summary = {}
    for part in parts:
        print(f"\n===== {part}, limit {LIMITS[part]} s", flush=True)
        summary[part] = run(part, args)
    print("\n=====", json.dumps(summary, indent=1))
    return 0 if all(found.startswith("done") for found in summary.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
