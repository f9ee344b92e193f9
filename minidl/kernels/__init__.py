"""Arrays in, arrays out: the heavy arithmetic, with no tape and no Tensor.

`kernels_for(x)` returns the module whose functions work on the array `x`: `plain` (array code that runs on NumPy and
CuPy alike: the lesson, and the oracle) or `cpu` (Numba, several times faster). Both define the same functions with
the same signatures, so a caller writes `kernels_for(x).conv2d(...)` and knows no more.
`use("plain")` asks for the plain way everywhere; `use("fast")`, the default, for the fastest there is; `use("direct")`
for the fastest that computes every product of a convolution, where Winograd's way saves some at the cost of digits.
"""

import os
from contextlib import contextmanager

import numpy as np

from minidl.kernels.arrays import Arrays
from minidl.kernels.window import Window

__all__ = ["Arrays", "Window", "chosen", "kernels_for", "use", "using"]

WAYS = ("fast", "direct", "plain")
_way = "plain" if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1" else "fast"


def use(way):
    """Choose the kernels from now on: "fast" or "direct" (Numba, with or without Winograd), or "plain" (array code)."""
    global _way
    if way not in WAYS:
        raise ValueError(f"kernels.use: {way!r} is none of {', '.join(map(repr, WAYS))}")
    _way = way


def chosen():
    """The way that is chosen at present."""
    return _way


@contextmanager
def using(way):
    """Choose the kernels for a while: `with kernels.using("plain"):`."""
    before = _way
    use(way)
    try:
        yield
    finally:
        use(before)


def kernels_for(x):
    """The module of kernels for the array `x`, by where it lives, what it holds, and `use`."""
    if _way != "plain" and isinstance(x, np.ndarray) and x.dtype.char in "fd":
        from minidl.kernels import cpu  # imported late: Numba takes longer to load than all the rest
        return cpu
    from minidl.kernels import plain
    return plain
