"""The operators and methods of Tensor: `x + y` is `add(x, y)`, `x.sum(0)` is `sum(x, 0)`.

Importing this file gives Tensor what the table METHODS lists. Editors and type checkers do not see that; they read
`minidl/tensor.pyi`. After a change here, run `python tests/tensor_stub.py`, which writes that file.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import DTypeLike

from minidl import tensor
from minidl.device import Array, at
from minidl.functional.activation import log_softmax, relu, sigmoid, softmax, tanh
from minidl.functional.elementwise import (
    abs,
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    cast,
    clamp,
    cos,
    div,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    lt,
    mul,
    ne,
    neg,
    pow,
    remainder,
    sin,
    sqrt,
    sub,
)
from minidl.functional.in_place import in_place, refuse, set_item
from minidl.functional.linear import matmul
from minidl.functional.pytorch_methods import METHODS as PYTORCH
from minidl.functional.pytorch_methods import unpacked
from minidl.functional.reduction import amax, amin, logsumexp, mean, norm, std, sum, var
from minidl.functional.selection import argmax, argmin, argsort, gather, masked_fill, max, min, sort, topk
from minidl.functional.shape import (
    chunk,
    expand,
    flatten,
    getitem,
    permute,
    reshape,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from minidl.kernels import backend
from minidl.missing import TENSOR, answer
from minidl.tensor import Operand, Tensor


def swapped(function: Callable[[Operand, Operand], Tensor]) -> Callable[[Operand, Operand], Tensor]:
    """The operator of the right operand: `2 - x` is `sub(2, x)`."""
    def method(b: Operand, a: Operand, /) -> Tensor:
        """a <operator> b, called as the method of b."""
        return function(a, b)
    return method


def item_of(x: Tensor, index: Any, /) -> Tensor:
    """x[index], as in NumPy."""
    return getitem(x, index=index)


def reshaped(x: Tensor, /, *shape: int | Sequence[int]) -> Tensor:
    """The elements in another shape: x.reshape(2, -1) or x.reshape((2, -1))."""
    return reshape(x, shape=unpacked(shape))


def expanded(x: Tensor, /, *shape: int | Sequence[int]) -> Tensor:
    """x broadcast to another shape: x.expand(2, -1) or x.expand((2, -1))."""
    return expand(x, shape=unpacked(shape))


def permuted(x: Tensor, /, *axes: int | Sequence[int]) -> Tensor:
    """x with its axes in another order: x.permute(1, 0) or x.permute((1, 0))."""
    return permute(x, axes=unpacked(axes))


def astype(x: Tensor, /, dtype: DTypeLike) -> Tensor:
    """x converted to another dtype; its gradient has the dtype of x."""
    return cast(x, dtype=dtype)


def reversed_axes(x: Tensor) -> Tensor:
    """x with its axes in reverse order."""
    return permute(x, axes=tuple(reversed(range(x.ndim))))


METHODS = {
    "__add__": add, "__radd__": swapped(add),
    "__sub__": sub, "__rsub__": swapped(sub),
    "__mul__": mul, "__rmul__": swapped(mul),
    "__truediv__": div, "__rtruediv__": swapped(div),
    "__mod__": remainder, "__rmod__": swapped(remainder),
    "__pow__": pow, "__rpow__": swapped(pow),
    "__matmul__": matmul, "__rmatmul__": swapped(matmul),
    "__neg__": neg, "__abs__": abs,
    "__and__": bitwise_and, "__or__": bitwise_or, "__xor__": bitwise_xor, "__invert__": bitwise_not,
    "__rand__": swapped(bitwise_and), "__ror__": swapped(bitwise_or), "__rxor__": swapped(bitwise_xor),
    "__eq__": eq, "__ne__": ne, "__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge,
    "__iadd__": in_place(operator.iadd, "+"), "__isub__": in_place(operator.isub, "-"),
    "__imul__": in_place(operator.imul, "*"), "__itruediv__": in_place(operator.itruediv, "/"),
    "__ipow__": in_place(operator.ipow, "**"), "__imatmul__": refuse("@"),
    "__getitem__": item_of, "__setitem__": set_item,
    "add": add, "sub": sub, "mul": mul, "div": div, "neg": neg, "eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt,
    "ge": ge, "abs": abs, "exp": exp, "log": log, "sqrt": sqrt, "pow": pow, "clamp": clamp, "sin": sin, "cos": cos,
    "relu": relu, "sigmoid": sigmoid, "tanh": tanh, "softmax": softmax, "log_softmax": log_softmax,
    "sum": sum, "mean": mean, "var": var, "std": std, "norm": norm, "amax": amax, "amin": amin, "logsumexp": logsumexp,
    "max": max, "min": min, "argmax": argmax, "argmin": argmin, "sort": sort, "argsort": argsort, "topk": topk,
    "gather": gather, "masked_fill": masked_fill, "chunk": chunk, "split": split,
    "reshape": reshaped, "expand": expanded, "permute": permuted, "flatten": flatten, "transpose": transpose,
    "squeeze": squeeze, "unsqueeze": unsqueeze, "T": property(reversed_axes),
    "matmul": matmul, "astype": astype, **PYTORCH,
}  # fmt: skip

for name, method in METHODS.items():
    setattr(Tensor, name, method)
answer(Tensor, TENSOR)


def accumulate(a: Array, b: Array) -> Array:
    """a + b: the sum of two gradients on the tape, by all threads if they are large."""
    with at(a):
        return backend(a).add(a, b)


def axis_sums(x: Array, axes: tuple[int, ...]) -> Array:
    """The sum of a gradient over the axes along which an input was broadcast."""
    return backend(x).axis_sums(x, axes)


tensor.accumulate, tensor.axis_sums = accumulate, axis_sums
