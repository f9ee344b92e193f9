"""What a model file says beside its weights: classes, the shape of an image, its preprocessing, and the network."""

import json
from pathlib import Path
from typing import Any

from minidl.io.checkpoint import CheckpointError, as_json
from minidl.io.checks import is_whole, per_channel
from minidl.nn import Module
from minidl.nn.blueprint import blueprint
from minidl.version import __version__

LARGEST = 1 << 20                                # no setting of a network is a larger number
ABOUT = ("classes", "input", "resize", "mean", "std")


def facts_of(owner: str, model: Module, about: dict[str, Any]) -> dict[str, Any]:
    """The facts of a model, as JSON has them: its own, and `about` in their place. Raises TypeError or ValueError."""
    if unknown := set(about) - set(ABOUT):
        raise TypeError(f"{owner}: there is no {' nor '.join(sorted(unknown))}; there are {', '.join(ABOUT)}")
    about = {**getattr(model, "about", {}), **{key: value for key, value in about.items() if value is not None}}
    about = {key: json.loads(as_json(key, value)) for key, value in about.items()}
    if found := fault(about):
        raise ValueError(f"{owner}: {found}")
    for key in {"mean", "std"} & set(about):
        values = about[key] if isinstance(about[key], list) else [about[key]]
        about[key] = per_channel(f"{owner}: {key}", values, about["input"][0] if "input" in about else len(values))
    return about


def known(path: str | Path, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of ABOUT that a file contains. Raises CheckpointError if they cannot be facts."""
    about = {key: list(facts[key]) if isinstance(facts[key], tuple) else facts[key]
             for key in ABOUT if facts.get(key) is not None}
    if found := fault(about):
        raise CheckpointError(f"{path}: {found}")
    return about


def fault(about: dict[str, Any]) -> str | None:
    """What is wrong with facts, as JSON has them; None if nothing is."""
    classes, shape, resize = about.get("classes", []), about.get("input", [1, 1, 1]), about.get("resize", 1)
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        return "its classes are not a list of names"
    if not (isinstance(shape, list) and len(shape) == 3 and all(is_whole(n, 1, LARGEST) for n in shape)):
        return f"its input shape is {shape!r:.60}, not (C, H, W), each from 1 to {LARGEST}"
    if not is_whole(resize, 1, LARGEST):
        return f"its images are resized to {resize!r:.60}, which is not a whole number from 1 to {LARGEST}"
    return None


def describe(model: Module) -> dict[str, Any]:
    """What a file says about the model itself: the names and settings to build it, or else the name of its class."""
    kind = type(model)
    architecture = blueprint(model) or f"{kind.__module__}.{kind.__qualname__}"
    return {"minidl": __version__, "architecture": architecture, "modules": repr(model)}
