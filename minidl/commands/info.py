"""`minidl info`: what this machine offers."""

import importlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from minidl.device import Device, DeviceError
from minidl.version import __version__


def run(args):
    """Print it."""
    for name, value in info().items():
        print(f"{name + ':':<16} {value}")


def info():
    """What this machine offers, {what: words}."""
    return {
        "minidl": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: version(name) for name in ("numpy", "numba")},
        "cupy": cupy_version(),
        "processor": processor(),
        **kernels(),
        "gpu": gpu(),
    }


def kernels():
    """What the kernels for the CPU are compiled for, run on and are kept in."""
    import numba
    if numba.config.DISABLE_JIT:
        return {"kernels": "plain, because NUMBA_DISABLE_JIT is set"}

    from minidl.kernels.cpu.runtime import target, threads
    count = threads.thread_count()                                   # starts the pool, which then knows its layer
    return {
        "kernels": f"for {target.describe()}",
        "threads": f"{count} on {os.cpu_count()} cores ({numba.threading_layer()})",
        "kernel cache": threads.touch.stats.cache_path,
    }


def version(package):
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def cupy_version():
    """CuPy's version; its package has a name for each version of CUDA."""
    found = {name: version(name) for name in ("cupy-cuda13x", "cupy-cuda12x", "cupy")}
    return next((f"{v} ({name})" for name, v in found.items() if v != "not installed"), "not installed")


def processor():
    """The processor's name, as the system tells it."""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or "unknown"


def gpu():
    """The name of every GPU and the version of the driver, or why there is none."""
    try:
        Device.parse("gpu")
    except DeviceError as error:
        return f"none ({error})"
    runtime = importlib.import_module("cupy").cuda.runtime
    names = [runtime.getDeviceProperties(i)["name"].decode() for i in range(runtime.getDeviceCount())]
    driver = runtime.driverGetVersion()
    return f"{', '.join(names)}; driver for CUDA {driver // 1000}.{driver % 1000 // 10}"
