"""Pickles, read without calling the functions that they name.

A pickle is a program for a small stack machine: push this, make a tuple of that, call the function of this name.
Python's own reader imports any name it meets, so a file can run anything. The machine in this file knows only the
instructions that plain data needs, and a name means only what the caller's table assigns to it. It imports nothing,
looks up no attribute, and trusts no length beyond the bytes in the file.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any


class PickleError(ValueError):
    """A pickle is damaged, or contains something that is not allowed."""


class ForeignName(PickleError):
    """A pickle names a class or function that is not in the table; `.name` is that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name!r}, which is not one of the few names that data needs")
        self.name = name


def read_pickle(source: Any, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of the pickle at the current position of `source`, which is then at the end of the pickle.

    source      bytes, or a file in memory whose read(n) never allocates more than the file holds: BytesIO or mmap
    names       {"module name": a function that the pickle may call, or the value of the name}
    persistent  persistent(id) -> the value of an object stored outside the pickle
    An object whose state is set after its creation receives it in its method `build(state)`; a dictionary ignores it.
    Raises PickleError.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    try:
        return run(source, names, persistent)
    except PickleError:
        raise
    except Exception as error:                   # each instruction of a damaged program fails in its own way
        raise PickleError(f"a damaged pickle ({type(error).__name__}: {error})") from error


MARK = object()                                  # marks on the stack where a list, tuple or dictionary begins

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING",                        # Python 2's, read as Latin-1
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def run(source: Any, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None) -> Any:
    """Execute one instruction after another until STOP."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any

    def since_mark() -> list[Any]:
        start = len(stack) - 1
        while stack[start] is not MARK:
            start -= 1
            if start < 0:
                raise PickleError("a damaged pickle (no mark)")
        items = stack[start + 1:]
        del stack[start:]
        return items

    for instruction, argument, _ in pickletools.genops(source):
        match instruction.name:
            case name if name in LITERALS:
                stack.append(argument)
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "MARK":
                stack.append(MARK)
            case "EMPTY_TUPLE":
                stack.append(())
            case name if name in TUPLES:
                items = stack[-TUPLES[name]:]
                stack[-TUPLES[name]:] = [tuple(items)]
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(since_mark())
            case "APPEND":
                item = stack.pop()
                top(stack, list).append(item)
            case "APPENDS":
                items = since_mark()
                top(stack, list).extend(items)
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = since_mark()
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                top(stack, dict)[key] = value
            case "SETITEMS":
                items = since_mark()
                top(stack, dict).update(zip(items[::2], items[1::2], strict=True))
            case "GLOBAL":
                stack.append(look_up(names, argument))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(look_up(names, f"{module} {name}"))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                if not (callable(function) and any(function is known for known in names.values())):
                    raise PickleError("a damaged pickle (it calls something that is not a function)")
                stack.append(function(*arguments))
            case "BUILD":
                state = stack.pop()
                if not isinstance(stack[-1], dict):
                    stack[-1].build(state)
            case "BINPERSID" if persistent:
                stack.append(persistent(stack.pop()))
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                (value,) = stack
                return value
            case name:
                raise PickleError(f"it uses the instruction {name}, which data does not need")
    raise PickleError("a damaged pickle (it does not end)")


def top(stack: list[Any], kind: type) -> Any:
    """The list or dictionary on top of the stack, to which something is added."""
    if type(stack[-1]) is not kind:
        raise PickleError(f"a damaged pickle (it adds to something that is not a {kind.__name__})")
    return stack[-1]


def look_up(names: Mapping[str, Any], name: str) -> Any:
    """The value of a name in the pickle."""
    if name not in names:
        raise ForeignName(name.replace(" ", "."))
    return names[name]
