"""The operators that change a tensor in place: `x += y` and the like, and `x[index] = y`.

They are for values that the tape does not follow: parameters under `no_grad`, buffers, data. An operation that is being
recorded could not be undone by its backward, so it is refused. Each write is noted (see `writes.py`), because a graph
may still need the old values.
"""

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from minidl.arrays import check_same_device, named
from minidl.device import array_module, at
from minidl.functional.shape import index_of
from minidl.modes import mode
from minidl.tensor import Operand, Tensor, as_operand
from minidl.writes import written


def in_place(write: Callable[[Any, Any], Any], symbol: str) -> Callable[[Tensor, Operand], Tensor]:
    """The method of Tensor for an operator such as `+=`; `write` is the operator's function for arrays."""
    def method(x: Tensor, y: Operand, /) -> Tensor:
        check_unrecorded(x, y, f"x {symbol}= y", f"x = x {symbol} y")
        overwrite(f"{symbol}=", write, x, y)
        return x
    method.__doc__ = f"x {symbol}= y, in place; RuntimeError if it would be recorded."
    return method


def set_item(x: Tensor, index: Any, y: Operand, /) -> None:
    """x[index] = y, in place; RuntimeError if it would be recorded."""
    check_unrecorded(x, y, "x[index] = y", "where(condition, y, x)")
    index = index_of(index, array_module(x.data))
    overwrite("[]=", lambda array, value: operator.setitem(array, index, value), x, y)


def check_unrecorded(x: Tensor, y: Operand, statement: str, instead: str) -> None:
    """Raise RuntimeError if an operation on x and y would be recorded."""
    if mode.recording and (x.node is not None or (isinstance(y, Tensor) and y.node is not None)):
        raise RuntimeError(f"{statement}: the tape cannot record a change in place; write {instead}, or, to update a "
                           "parameter by hand, put the statement under `with no_grad():`")


def overwrite(name: str, write: Callable[[Any, Any], Any], x: Tensor, y: Operand) -> None:
    """Write into the array of x, and note it. The element type of x stays as it is."""
    value = y.data if isinstance(y, Tensor) else as_operand(name, y)
    check_same_device(name, (x.data, value))
    if not fits(value, x.dtype):
        raise TypeError(f"{name}: {getattr(value, 'dtype', type(value).__name__)} does not fit into a tensor of "
                        f"{x.dtype}; convert one of them with .astype")
    try:
        with at(x.data):
            write(x.data, value)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise named(error, name, (x.data, value)) from error
    written(x.data)


def fits(value: Any, dtype: Any) -> bool:
    """Whether elements of `dtype` can hold `value`: floats go into floats, integers also, booleans everywhere."""
    ranks = {"b": 0, "u": 1, "i": 1, "f": 2}
    kind = value.dtype.kind if hasattr(value, "dtype") else {bool: "b", int: "i", float: "f"}.get(type(value), "?")
    return kind in ranks and ranks[kind] <= ranks[dtype.kind]


def refuse(symbol: str) -> Callable[[Tensor, Operand], NoReturn]:
    """The method of an operator that has no meaning in place; without it, Python would compute `x = x @ y`."""
    def method(x: Tensor, y: Operand, /) -> NoReturn:
        raise TypeError(f"x {symbol}= y is not supported: the result has another shape; write x = x {symbol} y")
    method.__doc__ = f"x {symbol}= y is not supported."
    return method
