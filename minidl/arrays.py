"""Which arrays and numbers tensors and operations accept from outside, and how they are made plain.

An array of another byte order, or of a subclass such as numpy.matrix, means the same elements, so it is converted. What
would compute something else, or only in part, is refused: half precision, complex numbers, text, masked arrays.
"""

from typing import Any

import numpy as np

from minidl.device import Array

PLAIN = frozenset("?bBhHiIlLqQfd")              # NumPy's letters for bool, integers, float32 and float64


def plain(array: Array) -> Array:
    """`array` as an array of NumPy's or CuPy's own class and of the machine's byte order; itself if it is one.

    Raises TypeError for element types that tensors do not have.
    """
    if array.__class__ is not np.ndarray and isinstance(array, np.ndarray):
        if np.ma.is_masked(array):
            raise TypeError("a tensor cannot have masked elements; replace them with .filled(value)")
        array = np.asarray(array)
    dtype = array.dtype
    if dtype.char in PLAIN and dtype.isnative:
        return array
    check_dtype(dtype, array)
    return array.astype(dtype.newbyteorder("="))


def check_dtype(dtype: np.dtype[Any], data: Any) -> None:
    """Raise TypeError unless tensors can have elements of `dtype`, the type of the elements of `data`."""
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        raise TypeError(f"{dtype.name} is not supported; a tensor of floats is float32 or float64, so convert with "
                        ".astype(numpy.float32)")
    if dtype.kind not in "fiub":
        raise TypeError(f"a tensor needs numbers, not {type(data).__name__} ({dtype})")


def python_number(x: np.generic) -> bool | int | float:
    """A scalar of NumPy as a Python number, which does not promote float32 to float64."""
    kind = x.dtype.kind
    if kind not in "fiub":
        raise TypeError(f"a tensor needs numbers, not {x!r}")
    return float(x) if kind == "f" else bool(x) if kind == "b" else int(x)
