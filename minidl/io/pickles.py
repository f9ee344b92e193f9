"""Pickles, read without calling the functions that they name.

A pickle is a program for a small stack machine: push this, make a tuple of that, call the function of this name.
Python's own reader imports any name it meets, so a file can run anything. The machine in this file knows only the
instructions that plain data needs, and a name means only what the caller's table assigns to it. A name that is not in
the table is refused, or becomes an `Opaque`, which remembers the name and does nothing. The machine imports nothing,
looks up no attribute, trusts no length beyond the bytes in the file, and stops after MOST instructions.
"""

import io
import itertools
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any


class PickleError(ValueError):
    """A pickle is damaged, or contains something that is not allowed."""


class ForeignName(PickleError):
    """A pickle names a class or function that is not in the table; `.name` is that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name!r}, which is not one of the few names that data needs")
        self.name = name


class HarmfulName(PickleError):
    """A pickle calls a function with which a file can take over a computer."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name!r}, which weights never need: the file was made to run a program. Nothing "
                         "in it was run; delete it, and never open it with Python's pickle")


class Opaque:
    """Stands for a function, class or object whose name is not in the table; what it is called with is dropped.

    name    "module.name"
    items   what was stored in it by key, if it is an instance of an unknown kind of dictionary
    """

    __slots__ = ("items", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: dict[Any, Any] = {}

    def build(self, state: Any) -> None:
        """Nothing: the state of an unknown object is dropped."""

    def __repr__(self) -> str:
        return f"<{self.name}>"


def read_pickle(source: Any, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None,
                opaque: bool = False) -> Any:
    """The value of the pickle at the current position of `source`, which is then at the end of the pickle.

    source      bytes, or a file in memory whose read(n) never allocates more than the file holds: BytesIO or mmap
    names       {"module name": a function that the pickle may call, or the value of the name}
    persistent  persistent(id) -> the value of an object stored outside the pickle
    opaque      whether names that are not in the table, and objects made by them, become Opaque
    An object whose state is set after its creation receives it in its method `build(state)`; a dictionary ignores it.
    Raises PickleError.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    try:
        return run(source, names, persistent, opaque)
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
PLAIN = (str, bytes, int, float, type(None))     # bool is an int
LONGEST = 1 << 64                                # of an integer that is a key
MOST = 1 << 21                                   # instructions; those of weights have thousands

# An Opaque runs nothing, whatever its name. A file that calls one of these was made to do harm, and is refused
HARMFUL = re.compile(r"""
    (builtins|__builtin__)\.(eval|exec|execfile|compile|open|file|__import__|input|breakpoint)
    |(os|posix|nt)\.(system|popen\d?|exec\w+|(posix_)?spawn\w*|startfile|fork\w*|kill\w*|open|fdopen|putenv
                    |remove\w*|unlink|rmdir|rename\w*|replace|truncate|chmod|chown|symlink|link|makedirs|mkdir)
    |subprocess\.(Popen|run|call|check_call|check_output|getoutput|getstatusoutput)
    |importlib\.(import_module|reload|__import__)|pty\.spawn|webbrowser\.open\w*|shutil\.(rmtree|move|copy\w*)
    |sys\.(exit|settrace|setprofile)|(runpy|commands|popen2|socket|ctypes|code|timeit|pdb)\.\w+
""", re.VERBOSE)


def run(source: Any, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None, opaque: bool) -> Any:
    """Execute one instruction after another until STOP."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any

    def mark() -> int:
        start = len(stack) - 1
        while stack[start] is not MARK:
            start -= 1
            if start < 0:
                raise PickleError("a damaged pickle (no mark)")
        return start

    def since_mark() -> list[Any]:
        start = mark()
        items = stack[start + 1:]
        del stack[start:]
        return items

    for instruction, argument, _ in itertools.islice(pickletools.genops(source), MOST):
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
                stack.append(dictionary(since_mark()))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                top(stack, dict).update(dictionary([key, value]))
            case "SETITEMS":
                items = since_mark()
                top(stack, dict).update(dictionary(items))
            case "EMPTY_SET" if opaque:
                stack.append(Opaque("builtins.set"))
            case "ADDITEMS" if opaque:
                since_mark()
            case "FROZENSET" if opaque:
                since_mark()
                stack.append(Opaque("builtins.frozenset"))
            case "POP" | "POP_MARK":             # of tuples that contain themselves
                del stack[-1 if instruction.name == "POP" and stack[-1] is not MARK else mark():]
            case "DUP":
                stack.append(stack[-1])
            case "GLOBAL":
                stack.append(look_up(names, argument, opaque))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not (isinstance(name, str) and isinstance(module, str)):
                    raise PickleError("a damaged pickle (a name that is not text)")
                stack.append(look_up(names, f"{module} {name}", opaque))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(call(names, function, arguments))
            case "NEWOBJ" if opaque:
                arguments, function = stack.pop(), stack.pop()
                stack.append(call(names, function, arguments))
            case "NEWOBJ_EX" if opaque:          # arguments with names: nothing in the table takes any
                _, arguments, function = stack.pop(), stack.pop(), stack.pop()
                stack.append(call(names, function, arguments))
            case "INST" if opaque:
                stack.append(call(names, look_up(names, argument, opaque), since_mark()))
            case "OBJ" if opaque:
                function, *arguments = since_mark()
                stack.append(call(names, function, arguments))
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
    raise PickleError(f"a damaged pickle (it does not end, or has more than {MOST} instructions)")


def top(stack: list[Any], kind: type) -> Any:
    """The list or dictionary on top of the stack, to which something is added."""
    if isinstance(stack[-1], Opaque):
        return stack[-1].items if kind is dict else []
    if type(stack[-1]) is not kind:
        raise PickleError(f"a damaged pickle (it adds to something that is not a {kind.__name__})")
    return stack[-1]


def dictionary(items: list[Any]) -> dict:
    """A dictionary of [key, value, key, value, ...]."""
    return {as_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def as_key(value: Any) -> Any:
    """A key that is equal to `value`; an Opaque, equal to nothing, where hashing could take for ever or overflow.

    The hash of a tuple is computed anew from all that is in it: a few bytes of nested tuples would take years.
    """
    if isinstance(value, list | dict):
        raise PickleError(f"a damaged pickle (a {type(value).__name__} as a key)")
    if isinstance(value, tuple):
        return value if all(is_short(item) for item in value) else Opaque("builtins.tuple")
    return value if is_short(value) or isinstance(value, Opaque) else Opaque(f"builtins.{type(value).__name__}")


def is_short(value: Any) -> bool:
    """Whether a value can be hashed in no time."""
    return isinstance(value, PLAIN) and not (isinstance(value, int) and abs(value) > LONGEST)


def look_up(names: Mapping[str, Any], name: str, opaque: bool) -> Any:
    """The value of a name in the pickle."""
    if name in names:
        return names[name]
    if not opaque:
        raise ForeignName(name.replace(" ", "."))
    return Opaque(name.replace(" ", "."))


def call(names: Mapping[str, Any], function: Any, arguments: Any) -> Any:
    """What a function of the table returns; for an Opaque another one, made by nobody."""
    if isinstance(function, Opaque):
        if HARMFUL.fullmatch(function.name):
            raise HarmfulName(function.name)
        return Opaque(function.name)
    if not (callable(function) and any(function is known for known in names.values())):
        raise PickleError("a damaged pickle (it calls something that is not a function)")
    return function(*arguments)
