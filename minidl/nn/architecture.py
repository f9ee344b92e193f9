"""A model that records how it was created, so that a file with its weights can create it again."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from minidl.nn.module import Module
from minidl.scalars import plain

Settings = ParamSpec("Settings")
Model = TypeVar("Model", bound=Module)
MAKERS: dict[str, Callable[..., Module]] = {}    # by their module and name


def architecture(factory: Callable[Settings, Model]) -> Callable[Settings, Model]:
    """A decorator: each model that `factory` returns records the factory's name and the settings of the call.

    `model.architecture` is {"name": ..., "settings": {...}}; a model file can hold it if JSON can. Numbers of NumPy's
    become Python's before the call.
    """
    signature = inspect.signature(factory)
    known_as = f"{factory.__module__}.{factory.__qualname__}"

    @functools.wraps(factory)
    def recorded(*values: Settings.args, **settings: Settings.kwargs) -> Model:
        given = signature.bind(*values, **settings)
        given.arguments.update(plain(dict(given.arguments)))
        model = factory(*given.args, **given.kwargs)
        given.apply_defaults()
        created_with: dict[str, Any] = dict(given.arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                created_with |= created_with.pop(name)
        model.architecture = {"name": factory.__name__, "settings": created_with}
        model.made_by = known_as
        return model
    MAKERS[known_as] = recorded
    return recorded


def maker(model: Module) -> Callable[..., Module] | None:
    """The decorated function that made a model; None if none did."""
    return MAKERS.get(model.made_by) if hasattr(model, "architecture") else None
