"""Which memory was written in place, and when, so that the tape notices values that have changed since they were used.

The `backward` of an operation keeps arrays of the forward pass. If one of them is overwritten in between, for example
by an optimizer's step, the gradient would be wrong without any sign of it. Code that writes into an array of a tensor
therefore calls `written`, which notes the time on the clock that also orders the nodes of the tape. Operations note
nothing: while no write is younger than a node, the tape compares two integers and is done.
"""

import dis
import functools
import itertools
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

from minidl.device import Array, is_array, memory_of

clock = itertools.count()                       # operations and writes in the order in which they happened
latest = -1                                     # the time of the last write of all

# {id of memory: time of its last write}. When memory is freed, other memory may get its id; that does no harm, because
# an operation that keeps the new memory is younger than the note.
times: dict[int, int] = {}


def written(*arrays: Array) -> None:
    """Note that these arrays have been written in place."""
    global latest
    now = next(clock)
    for array in arrays:
        times[id(memory_of(array))] = now
    if now > latest:                            # unless another thread has noted a later write meanwhile
        latest = now


def check_unwritten(function: Any, backward: Any, since: int, name: str) -> None:
    """Raise RuntimeError if `function` reads an array of the forward pass that was written after the time `since`.

    `function` is the `backward` of the operation `name`, or one of the gradients that it has returned as a `lambda`.
    """
    for array in arrays_read(function, backward):
        if times.get(id(memory_of(array)), -1) > since:
            raise RuntimeError(
                f"backward of {name}: an array of shape {array.shape} that it needs has been changed in place since "
                f"{name} was computed, by an optimizer's step, load_state_dict or an operator such as +=; "
                "call backward before the change, or compute the output again after it")


def arrays_read(function: Any, backward: Any) -> Iterator[Array]:
    """The arrays of the forward pass that a function reads, also through other functions that it calls.

    Only `backward` holds them. What else the function reads, such as `grad`, is new, and so is never written; its
    memory may have the id of older memory that was.
    """
    held, seen = {id(cell) for cell in cells_of(backward)}, set()
    pending = [(function, function is backward)]
    while pending:
        value, old = pending.pop()
        if is_array(value) and old:
            yield value
        elif isinstance(value, tuple | list):
            pending += [(item, old) for item in value]
        elif isinstance(value, dict):
            pending += [(item, old) for item in value.values()]
        elif isinstance(value, FunctionType) and value not in seen:
            seen.add(value)
            cells = zip(value.__code__.co_freevars, cells_of(value), strict=True)
            read = names_read(value.__code__)
            pending += [(contents(cell), old or id(cell) in held) for name, cell in cells if name in read]


def contents(cell: CellType) -> Any:
    """The value of a variable; None if it has none yet, or no more."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def cells_of(function: Any) -> tuple[CellType, ...]:
    """The variables of enclosing functions that a function can read."""
    return getattr(function, "__closure__", None) or ()


@functools.lru_cache(maxsize=4096)
def names_read(code: CodeType) -> set[str]:
    """The variables of enclosing functions that a function's own code reads.

    Those of a `lambda` inside it are not among them: it may never be called. See `op` in `tensor.py`.
    """
    names = {step.argval for step in dis.get_instructions(code) if step.opname.endswith("DEREF")}
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and inner.co_name in ("<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>"):
            names |= names_read(inner)
    return names
