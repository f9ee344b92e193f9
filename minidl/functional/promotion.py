"""The dtype in which an operation on inputs of several dtypes is computed: PyTorch's rules.

NumPy's rules would turn float32 times int64 into float64, which the next convolution refuses. Here a kind of number
(booleans below integers below floats) is chosen first: the highest of all inputs. Within the kind, arrays with axes
decide, then arrays without axes, then Python numbers, which as floats are float32.
"""

from typing import Any

import numpy as np

from minidl.arrays import is_float

KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2}         # V: bfloat16
NUMBERS = {bool: np.dtype(bool), int: np.dtype(np.int64), float: np.dtype(np.float32)}


def promoted(a: Any, b: Any) -> tuple[Any, Any]:
    """a and b, arrays or numbers, with arrays in their common dtype; numbers stay as they are."""
    dtype: Any = getattr(a, "dtype", None)
    other: Any = getattr(b, "dtype", None)
    if dtype is other or (other is None and dtype.kind == "f") or (dtype is None and other.kind == "f"):
        return a, b                                  # the usual cases, quickly
    return in_common_dtype(a, b)


def in_common_dtype(*inputs: Any) -> Any:
    """The same for any number of inputs."""
    first = getattr(inputs[0], "dtype", None)
    if first is not None and all(getattr(x, "dtype", None) is first for x in inputs):
        return inputs                                # the usual case, quickly
    dtype = common_dtype(inputs)
    return tuple(x.astype(dtype, copy=False) if hasattr(x, "dtype") else x for x in inputs)


def common_dtype(inputs: Any) -> np.dtype[Any]:
    """The dtype in which an operation on these arrays and numbers is computed."""
    arrays = [x for x in inputs if hasattr(x, "dtype")]
    result: np.dtype[Any] | None = None
    for dtypes in ([x.dtype for x in arrays if x.ndim], [x.dtype for x in arrays if not x.ndim],
                   [NUMBERS[type(x)] for x in inputs if type(x) in NUMBERS]):
        floats = [dtype for dtype in dtypes if is_float(dtype)]
        if dtypes:
            own = np.result_type(*(floats or dtypes))
            if result is None or KINDS[own.kind] > KINDS[result.kind]:
                result = own
    if result is None:
        raise TypeError("none of the inputs is an array or a number")
    return result


def floating(x: Any) -> Any:
    """x itself if it holds floats, otherwise converted to float32."""
    return x if not hasattr(x, "dtype") or is_float(x.dtype) else x.astype(np.float32)
