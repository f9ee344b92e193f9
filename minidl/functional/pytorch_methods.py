"""Methods of Tensor that PyTorch's users expect and that are no functions here: sizes, conversions, writes in place.

`methods.py` gives them to Tensor with its own. Names that are not here are answered by `minidl/missing.py`.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays import no_scalar
from minidl.device import is_dtype
from minidl.functional.checks import axes_of, real, unwrapped
from minidl.functional.elementwise import cast, move
from minidl.functional.in_place import in_place
from minidl.functional.shape import clone, repeat, reshape
from minidl.scalars import whole
from minidl.tensor import Operand, Tensor, as_array


def unpacked(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    """The integers of `x.reshape(2, 3)` or `x.reshape((2, 3))`."""
    return numbers[0] if len(numbers) == 1 and isinstance(unwrapped(numbers[0]), tuple) else numbers


def size(x: Tensor, /, dim: int | None = None) -> Any:
    """The length of each axis, or of one: x.size(0). The number of elements is x.numel()."""
    return x.shape if dim is None else x.shape[axes_of(x, whole("size", "dim", dim, -math.inf), "size")[0]]


def dim(x: Tensor, /) -> int:
    """The number of axes."""
    return x.array.ndim


def numel(x: Tensor, /) -> int:
    """The number of elements."""
    return x.array.size


def tolist(x: Tensor, /) -> Any:
    """The elements as Python's numbers, in lists of lists."""
    return x.numpy().tolist()


def view(x: Tensor, /, *shape: int | Sequence[int]) -> Tensor:
    """The elements in another shape, as x.reshape(...): without copying where that is possible."""
    return reshape(x, shape=unpacked(shape))


def repeated(x: Tensor, /, *sizes: int | Sequence[int]) -> Tensor:
    """x repeated along each axis: x.repeat(2, 1) or x.repeat((2, 1))."""
    return repeat(x, sizes=unpacked(sizes))


def contiguous(x: Tensor, /) -> Tensor:
    """x itself: operations here accept any memory order."""
    return x


def requires_grad_(x: Tensor, /, requires_grad: bool = True) -> Tensor:
    """Set whether this leaf requires a gradient, and return it."""
    x.requires_grad = requires_grad
    return x


def to(x: Tensor, /, device: Any = None, dtype: Any = None, non_blocking: bool = False, copy: bool = False) -> Tensor:
    """x on another device, with another dtype, or both; gradients pass back to x.

    x.to("gpu"), x.to(numpy.float64) or x.to("cpu", numpy.float32).
    non_blocking  accepted; a copy is awaited all the same
    copy          a copy also where nothing changes
    """
    if is_dtype(device):
        device, dtype = None, device
    x = clone(x) if copy else x
    x = x if dtype is None else cast(x, dtype=dtype)
    return x if device is None else move(x, device=device)


def cpu(x: Tensor, /) -> Tensor:
    """x on the CPU: itself if it is there."""
    return move(x, device="cpu")


def cuda(x: Tensor, /, device: int = 0) -> Tensor:
    """x on a GPU."""
    return move(x, device=f"gpu:{device}")


def as_float(x: Tensor, /) -> Tensor:
    """x as float32."""
    return cast(x, dtype=np.float32)


def as_double(x: Tensor, /) -> Tensor:
    """x as float64."""
    return cast(x, dtype=np.float64)


def as_long(x: Tensor, /) -> Tensor:
    """x as int64, without gradient."""
    return cast(x, dtype=np.int64)


def as_int(x: Tensor, /) -> Tensor:
    """x as int32, without gradient."""
    return cast(x, dtype=np.int32)


def as_bool(x: Tensor, /) -> Tensor:
    """Whether each element is not 0."""
    return cast(x, dtype=np.bool_)


def all_true(x: Tensor, /) -> Tensor:
    """Whether all elements are true, as a tensor of one boolean."""
    return Tensor.made_by(no_scalar(x.array.all()), None)


def any_true(x: Tensor, /) -> Tensor:
    """Whether any element is true, as a tensor of one boolean."""
    return Tensor.made_by(no_scalar(x.array.any()), None)


# In place, on what the tape does not follow: see `in_place.py`

def scaled(x: Tensor, y: Operand, alpha: float) -> Operand:
    """alpha * y, for `add_` and `sub_`."""
    return y if alpha == 1 else as_array(y).astype(x.dtype, copy=False) * real("add_", "alpha", alpha)


def add_(x: Tensor, y: Operand, /, *, alpha: float = 1) -> Tensor:
    """x += alpha * y, in place."""
    return in_place(operator.iadd, "+")(x, scaled(x, y, alpha))


def sub_(x: Tensor, y: Operand, /, *, alpha: float = 1) -> Tensor:
    """x -= alpha * y, in place."""
    return in_place(operator.isub, "-")(x, scaled(x, y, alpha))


def copy_(x: Tensor, y: Operand, /, non_blocking: bool = False) -> Tensor:
    """Write the elements of y into x."""
    x[...] = y
    return x


def fill_(x: Tensor, value: float, /) -> Tensor:
    """Write one number into all elements."""
    x[...] = value
    return x


def zero_(x: Tensor, /) -> Tensor:
    """Write 0 into all elements."""
    return fill_(x, 0)


METHODS = {
    "size": size, "dim": dim, "numel": numel, "tolist": tolist, "view": view, "repeat": repeated, "clone": clone,
    "contiguous": contiguous, "requires_grad_": requires_grad_, "to": to, "cpu": cpu, "cuda": cuda,
    "float": as_float, "double": as_double, "long": as_long, "int": as_int, "bool": as_bool,
    "all": all_true, "any": any_true, "add_": add_, "sub_": sub_, "mul_": in_place(operator.imul, "*"),
    "div_": in_place(operator.itruediv, "/"), "copy_": copy_, "fill_": fill_, "zero_": zero_,
}  # fmt: skip
