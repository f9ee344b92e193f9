"""Modules in place of others: what stands there during training only is left out of a file.

`nn.Checkpoint` and the norms over several processes compute what the module does that they stand for, with the same
weights under the same names. A module says which that is by its method `stands_for`.
"""

import copy
from collections.abc import Callable
from typing import Any

from minidl.nn.module import Module


def replaced(value: Any, swap: Callable[[Module], Module]) -> Any:
    """`value` with swap(module) in place of each module: of itself, or in lists, tuples and dictionaries.

    It is the same object if nothing changes.
    """
    if isinstance(value, Module):
        return swap(value)
    if isinstance(value, list | tuple):
        new: Any = [replaced(each, swap) for each in value]
        if all(a is b for a, b in zip(value, new, strict=True)):
            return value
        return type(value)(*new) if hasattr(value, "_fields") else type(value)(new)
    if isinstance(value, dict):
        new = {key: replaced(each, swap) for key, each in value.items()}
        return value if all(value[key] is new[key] for key in value) else new
    return value


def without_stand_ins(module: Module) -> Module:
    """The module with what its parts stand for in their place: the same object if it has no stand-in, else a copy.

    The copy shares all weights.
    """
    module = module.stands_for() if hasattr(module, "stands_for") else module
    changes = {name: new for name, value in vars(module).items()
               if (new := replaced(value, without_stand_ins)) is not value}
    if not changes:
        return module
    twin = copy.copy(module)
    vars(twin).update(changes)
    return twin
