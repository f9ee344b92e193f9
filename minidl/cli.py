"""The command line: `minidl info` tells what this machine offers, `minidl summary MODEL` what a network is made of.

A mistake of the user's ends in one sentence on stderr and the exit code 2. What a command needs is imported when it
runs, so that `minidl --help` is quick.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from minidl.device import Device, DeviceError
from minidl.version import __version__


def main(argv=None):
    """Run one command; the exit code is 0, or 2 after a mistake that can be told in a sentence."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except (ValueError, DeviceError) as error:
        print(f"minidl {args.command}: {error}", file=sys.stderr)
        return 2
    return 0


def parser():
    """What can be typed."""
    top = argparse.ArgumentParser(prog="minidl", description="A small deep-learning engine.")
    top.add_argument("--version", action="version", version=f"minidl {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="versions, the processor and the GPU")
    info.set_defaults(run=print_info)
    summary = commands.add_parser("summary", help="the layers of a network and what they cost")
    summary.add_argument("model", metavar="MODEL", help="such as lenet5")
    summary.add_argument("--input", type=lengths, required=True, metavar="C,H,W",
                         help="channels, height and width of an image, such as 1,28,28")
    summary.set_defaults(run=print_summary)
    return top


def lengths(text):
    """(1, 28, 28) from "1,28,28"."""
    try:
        shape = tuple(map(int, text.split(",")))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not three whole numbers of at least 1, such as 1,28,28")
    return shape


def print_summary(args):
    """`minidl summary`"""
    import zoo
    from minidl.summary import summary
    print(summary(zoo.create(args.model, in_channels=args.input[0]), args.input))


def print_info(args):
    """`minidl info`"""
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

    from minidl.kernels.cpu import target, threads
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
