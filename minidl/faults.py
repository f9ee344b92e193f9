"""What is wrong with values on a GPU: noted there without waiting, and told when a number is read from it anyway.

On the CPU a loss refuses a wrong target at once. To look at a target on a GPU, the host would have to wait for all work
before it, in every step. So the GPU notes the wrong value in a flag, and `tell` raises the error where the host waits
for a result: `Tensor.item`, `Tensor.numpy`, and the sums that `fit` reads once in a while.
"""

import math

import numpy as np

from minidl.device import Array, array_module, at

NOTHING = -math.inf
flags: dict[tuple[int, str], Array] = {}         # {(GPU, message): float64 (), the wrong value, or NOTHING}


def note(wrong: Array, values: Array, message: str) -> None:
    """Note on their GPU the largest of the `values` where `wrong` is true; `message.format(value)` is the error."""
    if not wrong.size:
        return
    xp, noted = array_module(wrong), flag(wrong, message)
    largest = xp.where(wrong, values, NOTHING).max()
    xp.maximum(noted, largest, out=noted)


def flag(array: Array, message: str) -> Array:
    """Where a wrong value is noted on the GPU of an array: float64 (). Kernels may write it themselves."""
    key = array.device.id, message                                               # type: ignore[attr-defined]
    if key not in flags:
        flags[key] = array_module(array).full((), NOTHING, dtype=np.float64)
    return flags[key]


def no_class(name: str, classes: int, ignore_index: int) -> str:
    """The message of a target that is no class, for its value."""
    return (f"{name}: the target holds {{:.0f}}; classes are numbered 0 to {classes - 1}"
            + (f" and {ignore_index} is ignored" if ignore_index < 0 else ""))


def tell() -> None:
    """Raise ValueError if a fault has been noted. All are forgotten: one wrong target can be several faults."""
    found = [(message, flag, value) for (_, message), flag in flags.items() if (value := float(flag)) != NOTHING]
    for _, flag, _ in found:
        with at(flag):
            flag.fill(NOTHING)
    if found:
        message, _, value = found[0]
        raise ValueError(message.format(value))
