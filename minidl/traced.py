"""Arrays whose computation is recorded: what NumPy does between kernels, in a captured step on the CPU.

While a step is recorded, every array that it makes is Traced. An operation on one tells the recording of the thread
(`kernels/cpu/runtime/recording.py`), which computes it, and repeats it in later steps. Reading a number, which a
repetition would not read again, ends the recording; the step goes on with the right values all the same. Where nothing
is recorded, a Traced array is like any other.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np


class Now(threading.local):
    """What happens in this thread."""

    recording: Any = None                        # the Recording that is told of kernels and of array code
    pool: Any = None                             # the memory pool from which kernels take results, if not the usual one


now = Now()

# What may copy, compute or write: it is called on plain arrays, and repeated.
COMPUTES = ("__getitem__", "__setitem__", "all", "any", "argmax", "argmin", "argsort", "astype", "byteswap", "choose",
            "clip", "compress", "copy", "cumprod", "cumsum", "dot", "fill", "flatten", "max", "mean", "min", "nonzero",
            "partition", "prod", "put", "ravel", "repeat", "reshape", "round", "searchsorted", "sort", "std", "sum",
            "take", "trace", "var", "__copy__", "__deepcopy__")
READS = ("item", "tolist", "tobytes", "tofile", "dump", "dumps", "__bool__", "__float__", "__int__", "__index__",
         "__complex__", "__contains__", "__reduce__", "__reduce_ex__", "__str__", "__format__", "__dlpack__",
         "__buffer__")
# Functions of NumPy that say something about shapes and types alone.
DESCRIBES = {np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.may_share_memory, np.shares_memory,
             np.iscomplexobj, np.isrealobj, np.common_type, np.min_scalar_type}
# Functions that make arrays without asking their arguments; they are replaced while a step is recorded.
MAKES = ("empty", "zeros", "ones", "full", "array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray")


class Traced(np.ndarray):
    """An array of a captured step. Views of it are Traced, too."""

    @property
    def ctypes(self) -> Any:
        """As of any array; one whose address is asked for is kept."""
        if now.recording is not None:
            now.recording.hold(self)
        return self.view(np.ndarray).ctypes

    def __iter__(self) -> Any:
        """Views, one for each element of the first axis; the elements of a vector are numbers, which would be read."""
        return iter([self[i] for i in range(len(self))]) if self.ndim > 1 else reads("__iter__")(self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return called(function, inputs, settings)

    def __array_function__(self, function: Any, types: Any, inputs: Any, settings: Any) -> Any:
        if function in DESCRIBES:
            return function(*plain(inputs), **plain(settings))
        return called(function, inputs, settings)


def called(function: Callable[..., Any], inputs: Any, settings: Any) -> Any:
    """What a function of NumPy returns; recorded, if a step is."""
    if now.recording is None:
        return function(*plain(inputs), **plain(settings))
    return now.recording.call(function, inputs, settings)


def plain(x: Any) -> Any:
    """The same with NumPy's own arrays in place of Traced ones, also in tuples, lists and dictionaries."""
    if isinstance(x, Traced):
        return x.view(np.ndarray)
    if isinstance(x, tuple | list):
        return rebuilt(x, map(plain, x))
    return {key: plain(value) for key, value in x.items()} if isinstance(x, dict) else x


def rebuilt(x: Any, items: Any) -> Any:
    """A tuple, named tuple or list like x, of other items."""
    return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)


def computes(name: str) -> Any:
    """The method of that name, which is recorded."""
    function = getattr(np.ndarray, name)

    def method(self: Traced, *inputs: Any, **settings: Any) -> Any:
        return called(function, (self, *inputs), settings)
    return method


def reads(name: str) -> Any:
    """The method of that name, which ends the recording."""
    function = getattr(np.ndarray, name)

    def method(self: Traced, *inputs: Any, **settings: Any) -> Any:
        if now.recording is not None:
            now.recording.refuse(f"it reads numbers back, by {name.strip('_')} of an array")
        return function(self.view(np.ndarray), *plain(inputs), **settings)
    return method


for each in COMPUTES:
    setattr(Traced, each, computes(each))
for each in READS:
    if hasattr(np.ndarray, each):
        setattr(Traced, each, reads(each))


def replace_makers() -> dict[str, Any]:
    """Have NumPy's functions that make arrays make Traced ones, in threads that record; returns the functions."""
    before = {name: getattr(np, name) for name in MAKES}
    for name, function in before.items():
        setattr(np, name, maker(name, function))
    return before


def restore_makers(before: dict[str, Any]) -> None:
    """Undo that."""
    for name, function in before.items():
        setattr(np, name, function)


def maker(name: str, function: Any) -> Any:
    """A function that makes arrays, for as long as a step is recorded."""
    def make(*inputs: Any, **settings: Any) -> Any:
        recording = now.recording
        if recording is None:
            return function(*inputs, **settings)
        return recording.made(name, function, inputs, settings)
    return make
