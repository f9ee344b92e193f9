"""Where arrays live: NumPy arrays on the CPU, CuPy arrays on an NVIDIA GPU.

Code above this file does not ask which of the two it has. Code for both begins with `xp = array_module(x)` and uses the
functions that NumPy and CuPy share. CuPy is imported only when a GPU is requested.
This file also owns the stream of random numbers from which every generator is seeded.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from minidl.scalars import plain

# An array of NumPy or CuPy. Type checkers see NumPy's, whose interface CuPy's arrays share.
Array: TypeAlias = np.ndarray[Any, Any]

OLDEST = (7, 5)                                   # compute capability: Turing, the first that CUDA 13 compiles for
INSTALL_HINT = "install CuPy for your driver with `pip install minidl[cuda13]` or `minidl[cuda12]`"


class DeviceError(RuntimeError):
    """The requested device is not available on this machine. `for_command` is the text for commands, with flags."""

    exit_code = 2                                # of a command that ends with it, see `errors.py`
    for_command: str | None = None


def unusable(problem: str) -> DeviceError:
    """The error for a GPU that cannot be used, unlike the CPU."""
    error = DeviceError(f"{problem}, or use device 'cpu'")
    error.for_command = f"{problem}, or use --device cpu"
    return error


@dataclass(frozen=True)
class Device:
    """A place for arrays: `Device("cpu")` or `Device("gpu", index)`. `Device.parse` reads "cpu", "gpu" and "gpu:1"."""

    kind: str
    index: int = 0

    @classmethod
    def parse(cls, name: "str | Device") -> "Device":
        """The device called `name` ("cuda" is an alias of "gpu"); DeviceError if this machine does not have it."""
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

    def require(self) -> None:
        """Raise DeviceError unless arrays can be created on this device."""
        if self.kind == "cpu":
            return
        try:
            cuda = importlib.import_module("cupy").cuda
            count = cuda.runtime.getDeviceCount()
        except ImportError:
            raise unusable(f"device {self}: CuPy is not installed; {INSTALL_HINT}") from None
        except Exception as error:            # without a driver, CuPy raises its own CUDARuntimeError
            raise unusable(f"device {self}: no usable NVIDIA driver ({error}); install one") from None
        if self.index >= count:
            raise unusable(f"device {self}: this machine has {count} GPU(s), numbered from 0; use one of them")
        found = cuda.runtime.getDeviceProperties(self.index)
        if (capability := (found["major"], found["minor"])) < OLDEST:
            raise unusable("device {}: {} has compute capability {}.{}, and at least {}.{} is needed; use a newer card"
                           .format(self, found["name"].decode(), *capability, *OLDEST))

    @property
    def library(self) -> Any:
        """The array library: numpy or cupy."""
        return np if self.kind == "cpu" else importlib.import_module("cupy")

    def current(self) -> AbstractContextManager[Any]:
        """A context in which new arrays of a GPU are made on this one. Operations enter it by themselves."""
        return NO_CHANGE if self.kind == "cpu" else self.library.cuda.Device(self.index)

    def put(self, array: Array) -> Array:
        """`array` on this device: the same array if it is already there, otherwise a copy."""
        if device_of(array) == self:
            return array
        if self.kind == "cpu":
            return array.get()  # type: ignore[attr-defined]
        with self.current():
            return self.library.array(array)

    @property
    def type(self) -> str:
        """PyTorch's name of the kind: "cpu" or "cuda"."""
        return "cpu" if self.kind == "cpu" else "cuda"

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


CPU = Device("cpu")
NO_CHANGE: AbstractContextManager[Any] = nullcontext()


def array_module(*arrays: Any) -> Any:
    """The library whose functions accept `arrays`: numpy, or the package that defines their type (cupy).

    Python numbers and None belong to no library and are skipped.
    """
    for x in arrays:
        if isinstance(x, np.ndarray | np.generic):
            return np
        if hasattr(x, "dtype"):
            return sys.modules[type(x).__module__.partition(".")[0]]
    return np


def is_array(x: Any) -> bool:
    """Whether x is an array of NumPy, or of a library whose arrays live on a numbered device."""
    return isinstance(x, np.ndarray) or hasattr(getattr(x, "device", None), "id")


def is_dtype(value: Any) -> bool:
    """Whether a value is a type of elements, such as numpy.float32, where a device could be given instead."""
    return isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))


def device_of(array: Array) -> Device:
    """The device that `array` lives on."""
    if isinstance(array, np.ndarray):
        return CPU
    return Device("gpu", array.device.id)


def at(array: Array) -> AbstractContextManager[Any]:
    """A context in which the GPU that `array` lives on is the current one; no change for an array of NumPy."""
    if array.__class__ is np.ndarray or isinstance(array, np.ndarray):
        return NO_CHANGE
    return array_module(array).cuda.Device(array.device.id)          # type: ignore[no-any-return, attr-defined]


def memory_of(array: Array) -> Any:
    """The object that owns the memory of `array`: the same one for all arrays that share it."""
    if array.__class__ is not np.ndarray and not isinstance(array, np.ndarray):
        return array.data.mem  # type: ignore[attr-defined]
    base = array.base
    while isinstance(base, np.ndarray):
        array, base = base, base.base
    return array


def shares_memory(gradient: Array, others: list[Array]) -> bool:
    """Whether a gradient shares memory with another one, or with itself, as one does that has been broadcast."""
    memory = memory_of(gradient)
    for other in others:
        if memory_of(other) is memory:
            return True
    return 0 in gradient.strides and any(n > 1 and not stride
                                         for n, stride in zip(gradient.shape, gradient.strides, strict=True))


_seeds, _restarts, _stream = np.random.default_rng(0), 0, 0


def manual_seed(seed: int) -> None:
    """Restart the stream of random numbers: the same seed gives the same results, bit for bit."""
    global _seeds, _restarts
    _seeds, _restarts = np.random.default_rng(plain(seed)), _restarts + 1


def restarts() -> int:
    """How often `manual_seed` was called: what keeps a seed from the stream draws another after it."""
    return _restarts


def draw_seed() -> int:
    """A seed from the stream."""
    seed = int(_seeds.integers(2**63))
    if _stream:
        seed = int(np.random.SeedSequence(seed, spawn_key=(_stream,)).generate_state(1, np.uint64)[0]) >> 1
    return seed


@contextmanager
def stream(number: int) -> Iterator[None]:
    """A context with other seeds for each number, from one state: processes that draw equally often have one state."""
    global _stream
    before, _stream = _stream, number
    try:
        yield
    finally:
        _stream = before


def random_state() -> dict[str, Any]:
    """The state of the stream, as a dictionary that JSON can represent."""
    return dict(_seeds.bit_generator.state)


def set_random_state(state: dict[str, Any]) -> None:
    """Restore a state that `random_state` returned."""
    _seeds.bit_generator.state = state


def generator(xp: Any = np, seed: int | None = None) -> Any:
    """A new random generator of the library `xp`; its seed is drawn from the stream, unless it is given.

    GPU generators are seeded from this CPU stream too, so saving its state saves all of them.
    """
    seed = draw_seed() if seed is None else seed
    if xp.__name__ == "cupy":
        return xp.random.Generator(xp.random.Philox4x3210(seed))     # seeds faster than CuPy's default generator
    return xp.random.default_rng(seed)
