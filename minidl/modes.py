"""What operations do besides computing, in the calling thread: record themselves, check their results, be measured."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from minidl.device import Array, array_module
from minidl.scope import scope


class Mode(threading.local):
    """What operations do besides computing; every thread starts with these values."""

    recording = True
    finite_only = False
    half: Any = None                                # the dtype of products under `autocast`: see precision.py
    varying: Any = None                             # in a captured step: its numbers that change, see capture.py
    recomputing = False                             # whether a module runs again, in a backward pass: nn/checkpoint.py
    checking: Any = None                            # what is called before an update, while a captured step is checked
    fixed = False                                   # whether tensors keep their arrays, whose addresses a graph knows
    watcher: Any = None                             # an open profile: see profiling.py


mode = Mode()


def watched(function: Callable[..., Any], phase: str, name: str) -> Callable[..., Any]:
    """`function` itself; while a profile is open, the same function with its calls measured under `name`."""
    return function if mode.watcher is None else mode.watcher.watch(function, phase, name)


@scope
def no_grad() -> Iterator[None]:
    """Record no operations in this thread: `with no_grad():`, or as a decorator, `@no_grad`."""
    before = mode.recording
    try:                                            # from here on, also if a signal handler raises an exception
        mode.recording = False
        yield
    finally:
        mode.recording = before


class NonFiniteError(FloatingPointError):
    """An operation produced NaN or infinity under `detect_nonfinite`. `.module` is the layer that ran it, if any.

    In training, `.step` is the step of the epoch, if it is not the present one: on a GPU it is noticed late.
    """

    module: Any = None
    step: int | None = None
    exit_code = 1                                # of a command that ends with it, see `errors.py`


@scope
def detect_nonfinite() -> Iterator[None]:
    """Raise NonFiniteError at the first operation whose output or gradient is not finite. Slow: for debugging."""
    before = mode.finite_only
    try:
        mode.finite_only = True
        yield
    finally:
        mode.finite_only = before


def check_finite(array: Array, name: str, what: str) -> None:
    """Raise NonFiniteError if `array`, the `what` of the operation `name`, contains NaN or infinity."""
    xp = array_module(array)
    if array.dtype.kind == "f" and not xp.isfinite(array).all():
        count = int(array.size - xp.isfinite(array).sum())
        raise NonFiniteError(f"the {what} of {name} is not finite: {count} of its {array.size} elements {array.shape}")
