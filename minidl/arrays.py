"""Which arrays and numbers tensors and operations accept from outside, how they are made plain, and what is refused.

An array of another byte order, or of a subclass such as numpy.matrix, means the same elements, so it is converted. What
would compute something else, or only in part, is refused: half precision, complex numbers, text, masked arrays.
"""

from typing import Any

import numpy as np

from minidl.device import CPU, Array, Device, device_of, is_array
from minidl.memory import out_of_memory
from minidl.missing import setting_instead
from minidl.traced import Traced

OWN = frozenset({np.ndarray, Traced})            # classes of arrays on the CPU that tensors have
ON_CPU = frozenset({np.ndarray, Traced, float, int, bool, tuple, type(None)})
PLAIN = frozenset("?bBhHiIlLqQfd")              # NumPy's letters for bool, integers, float32 and float64


def plain_array(array: Array) -> Array:
    """`array` as an array of NumPy's or CuPy's own class and of the machine's byte order; itself if it is one.

    Raises TypeError for element types that tensors do not have.
    """
    if array.__class__ not in OWN and isinstance(array, np.ndarray):
        if np.ma.is_masked(array):
            raise TypeError("a tensor cannot have masked elements; replace them with .filled(value)")
        array = np.asarray(array)
    dtype = array.dtype
    if dtype.char in PLAIN and dtype.isnative:
        return array
    check_dtype(dtype, array)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def check_dtype(dtype: np.dtype[Any], data: Any) -> None:
    """Raise TypeError unless tensors can have elements of `dtype`, the type of the elements of `data`."""
    if is_float(dtype) and dtype.itemsize not in (4, 8) and (dtype.itemsize != 2 or not on_gpu(data)):
        place = " on the CPU" if dtype.itemsize == 2 else ""
        raise TypeError(f"{dtype.name} is not supported{place}; a tensor of floats is float32 or float64, so convert "
                        "with .astype(numpy.float32)")
    check_numbers(dtype, data)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether elements of `dtype` are floating-point numbers; NumPy does not count ml_dtypes' bfloat16 among them."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def on_gpu(data: Any) -> bool:
    """Whether `data` is an array on a GPU."""
    return is_array(data) and not isinstance(data, np.ndarray)


def check_numbers(dtype: np.dtype[Any], data: Any) -> None:
    """Raise TypeError unless the elements of `data` are real numbers or booleans."""
    if dtype.kind not in "fiub" and not is_float(dtype):
        raise TypeError(f"a tensor needs numbers, not {type(data).__name__} ({dtype})")


def python_number(x: np.generic) -> bool | int | float:
    """A scalar of NumPy as a Python number, which does not promote float32 to float64."""
    kind = x.dtype.kind
    if kind not in "fiub":
        raise TypeError(f"a tensor needs numbers, not {x!r}")
    return float(x) if kind == "f" else bool(x) if kind == "b" else int(x)


def no_scalar(out: Any) -> Array:
    """`out` as an array: NumPy's results without axes, such as the sum of all elements, are scalars."""
    return np.asarray(out) if isinstance(out, np.generic) else out


def broadcasts(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    """Whether an array of `shape` can be broadcast to the shape `larger`."""
    extra = len(larger) - len(shape)
    return extra >= 0 and all(n in (1, m) for n, m in zip(shape, larger[extra:], strict=True))


def check_floating(array: Array) -> None:
    """Raise TypeError unless a tensor of this array can require a gradient."""
    if not is_float(array.dtype):
        raise TypeError(f"only floating-point tensors can require a gradient, not {array.dtype}")


def check_arrays(name: str, arrays: Any, error: Exception) -> None:
    """Raise TypeError, caused by `error`, if an input is no array: a number, or None."""
    for x in arrays:
        if not hasattr(x, "dtype"):
            raise TypeError(f"{name}: {x!r} is given for an input that must be a Tensor or an array") from error


def check_same_device(name: str, arrays: Any) -> Array | None:
    """Raise ValueError unless all arrays live on one device. Returns one of them if that is a GPU."""
    for x in arrays:
        if x.__class__ not in ON_CPU:
            break
    else:                                           # the usual case, quickly
        return None
    places = {device_of(x) for x in arrays if x.__class__ is not np.ndarray and hasattr(x, "dtype")}
    if not places:
        return None
    places |= {CPU for x in arrays if isinstance(x, np.ndarray)}
    if len(places) > 1:
        names = " and ".join(sorted(map(str, places)))
        raise ValueError(f"{name}: its inputs are on {names}; move them to one device with .to(device)")
    return next((x for x in arrays if hasattr(x, "dtype") and not isinstance(x, np.ndarray)), None)


def named(error: Any, name: str, arrays: Any, there: Device | None = None) -> Exception:
    """`error` with the operation's name before and the shapes of its inputs after its message."""
    shapes = ", ".join(str(x.shape) if hasattr(x, "shape") else repr(x) for x in arrays)
    kind = next((k for k in (IndexError, TypeError, MemoryError) if isinstance(error, k)), ValueError)
    place = there or next((device_of(x) for x in arrays if is_array(x)), CPU)
    if kind is MemoryError and place != CPU:
        return kind(f"{name}: {out_of_memory(error, place)} (inputs: {shapes})")
    remedy = "; reduce the batch size or the image size" if kind is MemoryError else setting_instead(str(error))
    return kind(f"{name}: {str(error) or 'out of memory'} (inputs: {shapes}){remedy}")
