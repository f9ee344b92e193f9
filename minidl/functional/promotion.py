"""The dtype in which an operation on inputs of several dtypes is computed: PyTorch's rules.

NumPy's rules would turn float32 times int64 into float64, which the next convolution refuses. Here a kind of number
(booleans below integers below floats) is chosen first: the highest of all inputs. Within the kind, arrays with axes
decide, then arrays without axes, then Python numbers, which as floats are float32.
"""

from typing import Any

import numpy as np

KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}
NUMBERS = {bool: np.dtype(bool), int: np.dtype(np.int64), float: np.dtype(np.float32)}


def promoted(*inputs: Any) -> Any:
    """The inputs, arrays and numbers, with all arrays in their common dtype; numbers stay as they are."""
    if len(inputs) == 2:                             # the usual cases, quickly
        a, b = (getattr(x, "dtype", None) for x in inputs)
        if (a is b and a is not None) or (b is None and a is not None and a.kind == "f") or (
                a is None and b is not None and b.kind == "f"):
            return inputs
    dtype = common_dtype(inputs)
    return tuple(x.astype(dtype, copy=False) if hasattr(x, "dtype") else x for x in inputs)


def common_dtype(inputs: Any) -> np.dtype[Any]:
    """The dtype in which an operation on these arrays and numbers is computed."""
    arrays = [x for x in inputs if hasattr(x, "dtype")]
    result: np.dtype[Any] | None = None
    for dtypes in ([x.dtype for x in arrays if x.ndim], [x.dtype for x in arrays if not x.ndim],
                   [NUMBERS[type(x)] for x in inputs if type(x) in NUMBERS]):
        floats = [dtype for dtype in dtypes if dtype.kind == "f"]
        if dtypes:
            own = np.result_type(*(floats or dtypes))
            if result is None or KINDS[own.kind] > KINDS[result.kind]:
                result = own
    if result is None:
        raise TypeError("none of the inputs is an array or a number")
    return result


def floating(x: Any) -> Any:
    """x itself if it holds floats, otherwise converted to float32."""
    return x if not hasattr(x, "dtype") or x.dtype.kind == "f" else x.astype(np.float32)
