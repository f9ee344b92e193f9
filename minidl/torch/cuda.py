"""`torch.device`, and `torch.cuda` for the question whether there is a GPU.

A GPU is called "gpu" in minidl; "cuda" and "cuda:1" are understood everywhere.
"""

import importlib
from typing import TYPE_CHECKING, Any, NoReturn

import minidl.device
from minidl import missing
from minidl.device import Device, DeviceError


def device(name: Any, index: int | None = None) -> Device:
    """The device called "cpu", "cuda" or "cuda:1", or ("cuda", 1). Raises DeviceError if it is not there."""
    return Device.parse(name if index is None else f"{name}:{index}")


def is_available() -> bool:
    """Whether there is a GPU that can be used."""
    return device_count() > 0


def device_count() -> int:
    """The number of GPUs."""
    try:
        Device.parse("gpu")
    except DeviceError:
        return 0
    return importlib.import_module("cupy").cuda.runtime.getDeviceCount()


def manual_seed(seed: int) -> None:
    """Restart the stream of random numbers, which is one for all devices."""
    minidl.device.manual_seed(seed)


manual_seed_all = manual_seed


def synchronize() -> None:
    """Wait until the GPU has done what it was asked to."""
    if is_available():
        importlib.import_module("cupy").cuda.Device().synchronize()


def empty_cache() -> None:
    """Return memory of the GPU that is free to the system."""
    if is_available():
        importlib.import_module("cupy").get_default_memory_pool().free_all_blocks()


if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.cuda", name, missing.TOP)
