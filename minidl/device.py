"""Where arrays live: NumPy arrays on the CPU, CuPy arrays on an NVIDIA GPU.

Nothing above this file asks which of the two it holds. Code meant for both begins with `xp = array_module(x)` and
goes on in the functions that NumPy and CuPy share. CuPy is imported only when somebody asks for a GPU.
This file also owns the one stream of random numbers from which every other one is seeded.
"""

import importlib
import re
import sys
from dataclasses import dataclass

import numpy as np

INSTALL_HINT = "install CuPy for your driver with `pip install minidl[cuda13]` or `minidl[cuda12]`, or use --device cpu"


class DeviceError(RuntimeError):
    """A device was asked for that this machine does not have."""

    exit_code = 2                                # of a command that ends with it, see `errors.py`


@dataclass(frozen=True)
class Device:
    """One place for arrays: `Device("cpu")` or `Device("gpu", index)`. `Device.parse` reads "cpu", "gpu", "gpu:1"."""

    kind: str
    index: int = 0

    @classmethod
    def parse(cls, name):
        """The device that `name` names ("cuda" is an alias of "gpu"), if this machine has it; else DeviceError."""
        if isinstance(name, cls):
            return name
        match = re.fullmatch(r"(cpu)|(?:gpu|cuda)(?::(\d+))?", str(name))
        if match is None:
            raise ValueError(f"device {name!r} is none of cpu, gpu, gpu:N (cuda and cuda:N are aliases)")
        if match[1]:
            return cls("cpu")
        device = cls("gpu", int(match[2] or 0))
        device.require()
        return device

    def require(self):
        """Raise DeviceError, in one sentence, unless arrays can be made here."""
        if self.kind == "cpu":
            return
        try:
            count = importlib.import_module("cupy").cuda.runtime.getDeviceCount()
        except ImportError:
            raise DeviceError(f"device {self}: CuPy is not installed; {INSTALL_HINT}") from None
        except Exception as error:            # CuPy raises its own CUDARuntimeError where there is no driver
            raise DeviceError(f"device {self}: no usable NVIDIA driver ({error}); use --device cpu") from None
        if self.index >= count:
            raise DeviceError(f"device {self}: this machine has {count} GPU(s), numbered from 0")

    def put(self, array):
        """`array` on this device: itself if it is here already, else a copy."""
        if device_of(array) == self:
            return array
        if self.kind == "cpu":
            return array.get()
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(self.index):
            return cupy.array(array)

    def __str__(self):
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


CPU = Device("cpu")


def array_module(*arrays):
    """The library whose functions work on `arrays`: numpy, or the package that their type comes from (cupy).

    Python numbers and None belong to no library and are passed over.
    """
    for x in arrays:
        if isinstance(x, np.ndarray | np.generic):
            return np
        if hasattr(x, "dtype"):
            return sys.modules[type(x).__module__.partition(".")[0]]
    return np


def is_array(x):
    """Whether x is an array of one of the two libraries: NumPy's, or one that lives on a numbered device."""
    return isinstance(x, np.ndarray) or hasattr(getattr(x, "device", None), "id")


def device_of(array):
    """The device that `array` lives on."""
    if isinstance(array, np.ndarray):
        return CPU
    return Device("gpu", array.device.id)


_seeds = np.random.default_rng(0)


def manual_seed(seed):
    """Start the one stream of random numbers anew: the same seed gives the same bits."""
    global _seeds
    _seeds = np.random.default_rng(seed)


def random_state():
    """The state of the stream, as a dictionary that JSON can hold."""
    return _seeds.bit_generator.state


def set_random_state(state):
    """Go on from a state that `random_state` returned."""
    _seeds.bit_generator.state = state


def generator(xp=np):
    """A fresh random generator of the library `xp`, seeded from the one stream.

    Every draw for a GPU, too, begins with a number from the CPU's stream: saving that one state saves all.
    """
    seed = int(_seeds.integers(2**63))
    if xp.__name__ == "cupy":
        return xp.random.Generator(xp.random.Philox4x3210(seed))     # quick to seed, unlike CuPy's default
    return xp.random.default_rng(seed)
