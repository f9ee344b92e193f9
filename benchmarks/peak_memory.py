"""Peak memory of this process."""

import resource
from pathlib import Path


def mebibytes():
    """Peak resident memory, in MiB.

    On Linux this is VmHWM of the running program; getrusage would include the parent process that forked it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
