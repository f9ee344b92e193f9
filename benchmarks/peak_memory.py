"""The most memory that this process has had so far."""

import resource
from pathlib import Path


def mebibytes():
    """Peak resident memory, in MiB.

    Linux tells it of the program that runs; getrusage would count the parent, which forked it, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
