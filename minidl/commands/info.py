"""`minidl info`: versions, the processor, the kernels' settings and the GPU of this machine."""

import argparse
import importlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from minidl.device import Device, DeviceError
from minidl.memory import size
from minidl.text import write
from minidl.version import __version__

POOLS = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}     # Numba's modules of its threading layers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: it takes no arguments."""


def run(args: argparse.Namespace) -> None:
    """Print one line per fact."""
    for name, value in info().items():
        write(f"{name + ':':<16} {value}")


def info() -> dict[str, str]:
    """All facts as {name: text}."""
    return {
        "minidl": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: version(name) for name in ("numpy", "numba")},
        "cupy": cupy_version(),
        "processor": processor(),
        **kernels(),
        "gpu": gpu(),
    }


def kernels() -> dict[str, str]:
    """The target, the threads and the cache of the CPU kernels; nothing is compiled and no thread is started."""
    import numba
    if numba.config.DISABLE_JIT:
        return {"kernels": "plain, because NUMBA_DISABLE_JIT is set"}

    from minidl.kernels.cpu.runtime import target, threads
    return {
        "kernels": f"for {target.describe()}",
        "threads": f"{threads.wanted_threads()} on {os.cpu_count()} cores ({threading_layer(numba.config)})",
        "kernel cache": kernel_cache(),
    }


def kernel_cache() -> str:
    """The folder of compiled kernels: $NUMBA_CACHE_DIR, or beside minidl's own files."""
    from numba.core.caching import FunctionCache

    from minidl.kernels.cpu.runtime import threads
    if os.environ.get("NUMBA_CACHE_DIR"):
        return os.environ["NUMBA_CACHE_DIR"]
    try:
        return FunctionCache(threads.wanted_threads).cache_path
    except RuntimeError:                         # no folder can be written to
        return "none: kernels are compiled in every process"


def threading_layer(config) -> str:
    """The threading layer that Numba will choose: the one asked for, or the first that can be loaded."""
    if config.THREADING_LAYER in POOLS:
        return config.THREADING_LAYER
    return next((layer for layer in config.THREADING_LAYER_PRIORITY if loads(f"numba.np.ufunc.{POOLS[layer]}")), "none")


def loads(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def version(package: str) -> str:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def cupy_version() -> str:
    """CuPy's version; its package has another name for each version of CUDA."""
    found = {name: version(name) for name in ("cupy-cuda13x", "cupy-cuda12x", "cupy")}
    return next((f"{v} ({name})" for name, v in found.items() if v != "not installed"), "not installed")


def processor() -> str:
    """The processor's name, as the system reports it."""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or "unknown"


def gpu() -> str:
    """Every GPU with its compute capability and memory, and the driver's version; or why no GPU can be used."""
    try:
        Device.parse("gpu")
    except DeviceError as error:
        return f"none ({error})"
    runtime = importlib.import_module("cupy").cuda.runtime
    found = [runtime.getDeviceProperties(i) for i in range(runtime.getDeviceCount())]
    names = [f"{each['name'].decode()} (compute capability {each['major']}.{each['minor']}, "
             f"{size(each['totalGlobalMem'])})" for each in found]
    driver = runtime.driverGetVersion()
    return f"{', '.join(names)}; driver for CUDA {driver // 1000}.{driver % 1000 // 10}"
