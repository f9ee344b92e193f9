"""An object as text: the call that makes it, with the settings that differ from their defaults.

The recipe of a run holds such texts and is compared with that of another process, so they depend on the settings alone.
"""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from minidl.scalars import plain


def call(thing: Any, without: Collection[str] = ()) -> str:
    """"StepLR(step_size=10, gamma=0.5)": the arguments of `__init__` that `thing` has as attributes of their names."""
    names = [name for name in defaults(thing) if name not in without and hasattr(thing, name)]
    return f"{type(thing).__name__}({changed(thing, {name: getattr(thing, name) for name in names})})"


def changed(thing: Any, settings: Mapping[str, Any]) -> str:
    """"lr=0.1, momentum=0.9": those of the settings that are not as in the call of `__init__` without them."""
    usual = defaults(thing)
    return ", ".join(f"{name}={text(value)}" for name, value in settings.items()
                     if name not in usual or text(value) != text(usual[name]))


def defaults(thing: Any) -> dict[str, Any]:
    """The arguments of `__init__` and their defaults."""
    return {name: parameter.default for name, parameter in inspect.signature(type(thing).__init__).parameters.items()}


def text(value: Any) -> str:
    """A setting as text, without the address that Python gives functions and objects that have no text of their own."""
    value = plain(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    if callable(value) and hasattr(value, "__name__"):
        return f"function {value.__name__}"
    return type(value).__name__ if type(value).__repr__ is object.__repr__ else repr(value)
