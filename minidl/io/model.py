"""A complete model in one file: its weights, the network they are for, and how to preprocess its images.

    save_model("mine.safetensors", model, classes=["cat", "dog"], input=(3, 32, 32), mean=..., std=...)
    model = zoo.load("mine.safetensors")         # in eval mode; model.about["classes"] == ["cat", "dog"]

The file contains no code, only the name of a network of the zoo and its settings. The best.safetensors and
last.safetensors of a training run are such files too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.device import Device
from minidl.io.checkpoint import CheckpointError, save_checkpoint
from minidl.io.facts import ABOUT as ABOUT
from minidl.io.facts import LARGEST, describe, facts_of, known
from minidl.io.onnx_file import is_onnx, load_onnx
from minidl.io.weights import load_into, read_weights
from minidl.nn import Module
from minidl.nn.init import at_most

OWN = 1 << 28                                    # weights that a network may have if its user asks for other settings

Build = Callable[[str, dict[str, Any]], Module]


def save_model(path: str | Path, model: Module, **about: Any) -> None:
    """Write a model so that `load_model` can rebuild it.

    about   facts that `minidl predict` needs: classes, their names; input, (C, H, W); resize, the length of an image's
            shorter side before the centre crop (default: the larger of H and W); mean and std of each channel, for
            pixels in 0..1. Those of a model that came from a file need not be repeated.
    Raises TypeError for any other fact, or for one or a setting of the model that JSON cannot represent; ValueError for
    a mean or std that does not fit; OSError if the file cannot be written.
    """
    save_checkpoint(path, model.state_dict(), {**describe(model), **facts_of("save_model", model, about)})


def load_model(path: str | Path, build: Build | None = None, create: Callable[[], Module] | None = None,
               device: str | Device = "cpu", key: str | None = None) -> Module:
    """The model in a file, in eval mode, with the file's facts in the dictionary `model.about`.

    build    build(name, settings) makes the network that the file names; `zoo.load(path)` passes the zoo's
    create   create() makes the network instead, whatever the file names
    key      which weights, if a PyTorch file holds several; see `load_weights`
    A file of ONNX holds the network itself, so neither is called for: see `load_onnx`.
    Raises FileNotFoundError or CheckpointError; TypeError without `build` and `create`.
    """
    if create is not None:
        model = create()
        arrays, facts = read_weights(path, key, model)
    elif build is not None and is_onnx(path):
        return load_onnx(path).to(device)
    elif build is not None:
        arrays, facts = read_weights(path, key)
        model = rebuilt(path, arrays, facts.get("architecture"), build)
    else:
        raise TypeError("load_model: pass create=, a function that makes the network, or call zoo.load for a network "
                        "of the zoo")
    load_into(model, arrays, path)
    model.about = known(path, facts)
    return model.to(device).eval()


def rebuilt(path: str | Path, arrays: dict[str, np.ndarray], architecture: Any, build: Build,
            settings: dict[str, Any] | None = None) -> Module:
    """A new network of the `architecture` in the file, with random weights; `settings` override the file's."""
    if not (isinstance(architecture, dict) and isinstance(architecture.get("name"), str)
            and isinstance(architecture.get("settings"), dict)):
        raise nameless(path, architecture)
    if not all(map(is_setting, architecture["settings"].values())):
        raise CheckpointError(f"{path}: its network cannot be built (from {architecture['settings']!r:.200})")
    try:
        # some networks draw their weights twice; settings that need far more than the file holds are forged
        with at_most(max(4 * sum(array.size for array in arrays.values()), OWN if settings else 0)):
            return build(architecture["name"], {**architecture["settings"], **(settings or {})})
    except (ValueError, TypeError, ArithmeticError, AttributeError, MemoryError) as error:
        raise CheckpointError(f"{path}: its network cannot be built ({error})") from error


def nameless(path: str | Path, architecture: Any) -> CheckpointError:
    """The error for a file that is for a network outside the zoo, or does not say for which."""
    if architecture:
        what = f"{path}: it is for {architecture!r:.100}, which is not in the zoo; "
        return CheckpointError(f"{what}load it with load_model(path, create=...), where create() makes the network",
                               f"{what}commands know only the networks that `minidl zoo` lists")
    what = f"{path}: it does not say which network it is for; "
    return CheckpointError(f"{what}load it with load_model(path, create=...), where create() makes the network",
                           f"{what}`minidl convert {path} --model NAME -o NEW` makes a model file of it")


def is_setting(value: Any) -> bool:
    """Whether a value can be the setting of a network: a number, a string, None, or a list of them."""
    if isinstance(value, list):
        return len(value) < 1000 and all(not isinstance(item, list) and is_setting(item) for item in value)
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= LARGEST)
