"""PyTorch's spelling of calls: `dim`, `keepdim` and `dims` where functions here have NumPy's names, and `bias=b`.

A function is asked for its parameters once, when it is defined. A call is translated at the border of an operation,
before anything else looks at it; one that needs no translation costs a look at the names of its settings.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

OURS = {"dim": "axis", "keepdim": "keepdims", "dims": "axes"}


class Spelling:
    """The ways in which a function can be called besides by its own names; `spelling_of` makes one.

    aliases   {PyTorch's name: ours} of the settings that have both
    optional  {name: place} of inputs that may be left out, such as a bias, and may be given by name
    names     all of these names; a call without any of them needs no translation
    """

    def __init__(self, name: str, aliases: dict[str, str], optional: dict[str, int]):
        self.name, self.aliases, self.optional = name, aliases, optional
        self.names = frozenset(aliases) | frozenset(optional)

    def ours(self, inputs: tuple[Any, ...], settings: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inputs and settings of a call by our names. Raises TypeError if one is given twice."""
        ours: dict[str, Any] = {}
        placed = list(inputs)
        for key, value in settings.items():
            own, place = self.aliases.get(key, key), self.optional.get(key)
            if own in ours or (own != key and own in settings) or (place is not None and place < len(inputs)):
                raise TypeError(f"{self.name}: {own} is given twice; give it once")
            if place is None:
                ours[own] = value
            else:
                placed += [None] * (place + 1 - len(placed))
                placed[place] = value
        return tuple(placed), ours


def spelling_of(name: str, function: Any) -> Spelling:
    """How a function may be called besides by its own names."""
    code = function.__code__
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    defaults = len(function.__defaults__ or ())
    aliases = {theirs: own for theirs, own in OURS.items() if own in names[code.co_posonlyargcount:]}
    optional = {name: place for place, name in enumerate(names[:code.co_posonlyargcount])
                if place >= code.co_argcount - defaults}
    return Spelling(name, aliases, optional)


def by_either_name(function: F) -> F:
    """Let a function that is composed of operations be called in PyTorch's spelling too, as `op` does for operations.

    Its inputs and settings must not be positional-only, except those that are always given.
    """
    spelling = spelling_of(function.__name__, function)
    names = spelling.names

    @functools.wraps(function)
    def called(*inputs: Any, **settings: Any) -> Any:
        if not settings:
            return function(*inputs)
        if not names.isdisjoint(settings):
            inputs, settings = spelling.ours(inputs, settings)
        return function(*inputs, **settings)
    return called  # type: ignore[return-value]
