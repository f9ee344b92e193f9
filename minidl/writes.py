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
from types import CodeType, FunctionType
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
    if now > latest:                            # another thread may have noted a later write since
        latest = now
    for array in arrays:
        times[id(memory_of(array))] = now


def check_unwritten(function: Any, since: int, name: str, keeper: Any = None) -> None:
    """Raise RuntimeError if `function`, made by the operation `name`, reads an array written after the time `since`.

    Arrays that are younger than the operation do not count: a `function` that is made in its `backward`, the `keeper`,
    reads the gradient, too, whose memory may have the id of memory that was written and freed.
    """
    kept = None if keeper is None else {id(memory_of(x)) for x in arrays_read(keeper, all_variables=True)}
    for array in arrays_read(function):
        memory = id(memory_of(array))
        if times.get(memory, -1) > since and (kept is None or memory in kept):
            raise RuntimeError(
                f"backward of {name}: an array of shape {array.shape} that it needs has been changed in place since "
                f"{name} was computed, by an optimizer's step, load_state_dict or an operator such as +=; "
                "call backward before the change, or compute the output again after it")


def arrays_read(function: Any, all_variables: bool = False) -> Iterator[Array]:
    """The arrays from enclosing functions that a function reads, also through other functions that it calls.

    With `all_variables`, those that only a `lambda` inside it reads are among them.
    """
    seen, pending = set(), [function]
    while pending:
        value = pending.pop()
        if is_array(value):
            yield value
        elif isinstance(value, tuple | list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, FunctionType) and value not in seen:
            seen.add(value)
            cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
            pending += [cell.cell_contents for name, cell in cells
                        if all_variables or name in names_read(value.__code__)]


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
