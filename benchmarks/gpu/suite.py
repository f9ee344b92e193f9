"""The tests marked `gpu`, on CuPy; with --device cpu some of those of the strict array, which run the same kernels."""

import os
import subprocess
import sys
import time

from parts import Part

SECONDS = 80


def main():
    part = Part("suite", __doc__)
    chosen = ["tests", "-m", "gpu and not slow"] if part.on_gpu else ["tests/functional/test_pooling.py", "-m",
                                                                      "not slow", "-k", "strict_array"]
    command = [sys.executable, "-m", "pytest", *chosen, "-v", "--tb=short", "-p", "no:cacheprovider", "--maxfail=60",
               "-n", "8" if part.on_gpu else "2"]
    path, begin = part.args.out / "suite.txt", time.monotonic()
    with path.open("w") as log:                  # line by line, so that what ran before the time limit is known
        try:
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=SECONDS,
                                    env=os.environ | {"HYPOTHESIS_PROFILE": "dev"}).returncode
        except subprocess.TimeoutExpired:
            status = f"stopped after {SECONDS} s"
    lines = path.read_text(errors="replace").splitlines()
    part.results |= {
        "tests": " ".join(chosen), "status": status, "seconds": round(time.monotonic() - begin, 1),
        "passed": sum("PASSED" in line for line in lines), "skipped": sum("SKIPPED" in line for line in lines),
        "failed": sorted({line.partition("FAILED ")[2].partition(" - ")[0] for line in lines if "FAILED " in line}),
        "last": lines[-1:]}
    part.save()
    print("\n".join(lines[-30:]))
    sys.exit(status != 0)


if __name__ == "__main__":
    main()
