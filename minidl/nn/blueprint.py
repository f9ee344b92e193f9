"""A network as names and settings, from which it can be built again: what a model file holds in place of code.

    {"name": "Sequential", "settings": {}, "layers": {"0": {"name": "Linear", "settings": {"in_features": 2, ...}}}}

Known are the public layers in LAYERS, a Sequential of what is known, and what a function with the decorator
`architecture` made, whose modules may have been replaced since by others that are known. Nothing else is ever built: a
name is looked up in a closed list.
"""

import functools
import inspect
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from minidl.nn import activation, init, layers, normalization, pooling
from minidl.nn.architecture import maker
from minidl.nn.module import Module, members
from minidl.nn.sequential import Sequential
from minidl.nn.stand_in import without_stand_ins
from minidl.scalars import plain

LAYERS: dict[str, type[Module]] = {kind.__name__: kind for kind in (
    layers.Conv2d, layers.ConvTranspose2d, layers.Linear, layers.Dropout, layers.Dropout2d, layers.Upsample,
    layers.Flatten, layers.Identity, activation.ReLU, activation.ReLU6, activation.LeakyReLU, activation.ELU,
    activation.GELU, activation.SiLU, activation.Hardswish, activation.Softplus, activation.Sigmoid, activation.Tanh,
    activation.Softmax, pooling.MaxPool2d, pooling.AvgPool2d, pooling.AdaptiveAvgPool2d, pooling.AdaptiveMaxPool2d,
    normalization.BatchNorm1d, normalization.BatchNorm2d, normalization.LayerNorm, normalization.GroupNorm,
    normalization.LocalResponseNorm)}
# settings that a layer keeps in another form
KEPT: dict[str, Callable[[Any], Any]] = {
    "bias": lambda layer: layer.bias is not None,
    "affine": lambda layer: layer.weight is not None,
    "elementwise_affine": lambda layer: layer.weight is not None,
    "track_running_stats": lambda layer: layer.running_mean is not None,
    "return_indices": lambda layer: False,
    "inplace": lambda layer: False,
    "in_features": lambda layer: layer.weight.shape[1],
    "out_features": lambda layer: layer.weight.shape[0],
    "in_channels": lambda layer: channels(layer)[0],
    "out_channels": lambda layer: channels(layer)[1],
}
WINDOW = ("scale_factor", "kernel_size", "stride", "padding", "dilation", "output_padding", "size", "output_size")
WIDEST = 4096                                    # pixels, of a window in a file, which may be forged
MOST, DEEPEST = 10_000, 30                       # layers in a file, and levels of Sequential
ENTRY = re.compile(r"[0-9]{1,5}|[A-Za-z][A-Za-z0-9_]{0,60}")

Blueprint = dict[str, Any]
Build = Callable[[str, dict[str, Any]], Module]


def blueprint(module: Module) -> Blueprint | None:
    """The names and settings of a module; None for one that holds what is not known.

    It is None, too, if the weights of what would be built had other names or shapes, as after an attribute of a layer
    was replaced by something else.
    """
    module = without_stand_ins(module)
    found = described(module)
    if found is None:
        return None
    try:
        with init.placeholders():
            again = built(json.loads(json.dumps(found)), lambda name, settings: made_by(module, name)(**settings))
    except (ValueError, TypeError, AttributeError, LookupError):
        return None
    return found if equal(again, module) else None


def described(module: Module) -> Blueprint | None:
    """The names and settings, unchecked."""
    if type(module) is Sequential:
        inner = {name: described(layer) for name, layer in members(module) if isinstance(layer, Module)}
        whole = None not in inner.values() and len(inner) == len(list(members(module)))
        return {"name": "Sequential", "settings": {}, "layers": inner} if whole else None
    if LAYERS.get(type(module).__name__) is type(module):
        return {"name": type(module).__name__, "settings": settings_of(module)}
    factory = maker(module)
    if factory is None:
        return None
    with init.placeholders():
        first = factory(**module.architecture["settings"])
    changes = dict(changed(first, module))
    if None in changes.values():
        return None
    return {**module.architecture, **({"changes": changes} if changes else {})}


def changed(before: Module, now: Module, prefix: str = "") -> Iterator[tuple[str, Blueprint | None]]:
    """(name, blueprint) for each module that has been replaced, or whose settings have."""
    old, new = ({name: member for name, member in members(module) if isinstance(member, Module)}
                for module in (before, now))
    for name in {**old, **new}:
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            yield prefix + name, None
        elif type(one) is type(other) and type(one) is not Sequential and type(one).__name__ not in LAYERS:
            yield from changed(one, other, f"{prefix}{name}.")
        elif described(one) != (what := described(other)):
            yield prefix + name, what
        elif what is None:                       # two Sequentials, of other modules
            yield from changed(one, other, f"{prefix}{name}.")


def settings_of(layer: Module) -> dict[str, Any]:
    """The arguments of `__init__` that make such a layer."""
    names = list(inspect.signature(type(layer).__init__).parameters)[1:]
    return {name: plain(getattr(layer, name) if name not in KEPT else KEPT[name](layer)) for name in names
            if name in KEPT or hasattr(layer, name)}


def channels(layer: Any) -> tuple[int, int]:
    """The channels that a convolution takes and gives."""
    first, second = layer.weight.shape[:2]
    transposed = isinstance(layer, layers.ConvTranspose2d)
    return (first, second * layer.groups) if transposed else (second * layer.groups, first)


def equal(one: Module, other: Module) -> bool:
    """Whether two networks have weights of the same names and shapes, and modules that print alike."""
    weights, others = ([(name, tensor.shape) for name, tensor in each.named_state()] for each in (one, other))
    modules, more = ([name for name, _ in each.named_modules()] for each in (one, other))
    return weights == others and modules == more and repr(one) == repr(other)


def made_by(module: Module, name: str) -> Callable[..., Module]:
    """The function `name` that made the module, or one inside it."""
    found = (maker(each) for _, each in module.named_modules()
             if hasattr(each, "architecture") and each.architecture["name"] == name)
    return next(factory for factory in found if factory is not None)


def built(plan: Any, build: Build, depth: int = 0) -> Module:
    """The module that a blueprint, perhaps from a forged file, describes, with new weights.

    build   build(name, settings) makes what LAYERS does not name
    The weights that it may have are limited by `init.at_most`. Raises ValueError or TypeError, which names the fault.
    """
    if depth == 0 and count(plan) > MOST:
        raise ValueError(f"it has more than {MOST:,} layers")
    if not (isinstance(plan, dict) and isinstance(plan.get("name"), str) and isinstance(plan.get("settings"), dict)):
        raise ValueError(f"{plan!r:.60} is no layer with a name and settings")
    name, settings = plan["name"], {key: tupled(value) for key, value in plan["settings"].items()}
    if name == "Sequential":
        return in_order(plan.get("layers"), build, depth)
    if name not in LAYERS:
        model = build(name, settings)
        for path, inner in (plan.get("changes") or {}).items():
            replace(model, path, built(inner, build, depth + 1))
        return model
    check_settings(name, settings)
    return LAYERS[name](**settings)


def of_layers(plan: Blueprint) -> bool:
    """Whether a blueprint describes layers itself, beside or without the name of a network."""
    return plan["name"] in LAYERS or plan["name"] == "Sequential" or "changes" in plan


def in_order(inner: Any, build: Build, depth: int) -> Sequential:
    """A Sequential of the layers in a dictionary."""
    if not isinstance(inner, dict) or depth >= DEEPEST:
        raise ValueError(f"a Sequential needs its layers, in {DEEPEST} levels at most")
    model = Sequential()
    for entry, plan in inner.items():
        if not ENTRY.fullmatch(entry) or hasattr(model, entry):
            raise ValueError(f"{entry!r:.60} cannot be the name of a layer")
        setattr(model, entry, built(plan, build, depth + 1))
    return model


def count(plan: Any) -> int:
    """The number of layers in a blueprint."""
    waiting, number = [plan], 0
    while waiting:
        number, plan = number + 1, waiting.pop()
        for key in ("layers", "changes"):
            inner = plan.get(key) if isinstance(plan, dict) else None
            waiting += inner.values() if isinstance(inner, dict) else []
    return number


def check_settings(name: str, settings: dict[str, Any]) -> None:
    """Raise ValueError for settings of a layer that would take much memory."""
    for key in set(WINDOW) & set(settings):
        values = settings[key] if isinstance(settings[key], tuple) else (settings[key],)
        if any(isinstance(value, int | float) and value > WIDEST for value in values):
            raise ValueError(f"{name}: {key}={settings[key]!r:.60} must be at most {WIDEST}")
    if "Norm" in name:                           # their weights are not drawn, so `init` does not count them
        shape = settings.get("normalized_shape", settings.get("num_features", settings.get("num_channels", 1)))
        numbers = shape if isinstance(shape, tuple) else (shape,)
        init.budget.spend(math.prod(value for value in numbers if isinstance(value, int) and value > 0))


def replace(model: Module, path: Any, new: Module) -> None:
    """Put a module in the place of another, which must be there."""
    known = dict(model.named_modules())
    if not path or path not in known:
        raise ValueError(f"the network has no module {path!r:.60} to be replaced")
    parts = path.split(".")
    owner = next(end for end in range(len(parts) - 1, -1, -1) if ".".join(parts[:end]) in known)
    holder: Any = known[".".join(parts[:owner])]
    if len(parts) - owner == 1:
        setattr(holder, parts[-1], new)
        return
    *between, last = parts[owner:]
    container = functools.reduce(item_of, between[1:], vars(holder)[between[0]])
    container[int(last) if isinstance(container, list) else last] = new


def item_of(container: Any, key: str) -> Any:
    """A list, or a dictionary, in another."""
    return container[int(key)] if isinstance(container, list | tuple) else container[key]


def tupled(value: Any) -> Any:
    """Lists, as JSON has them, as tuples."""
    return tuple(map(tupled, value)) if isinstance(value, list) else value
