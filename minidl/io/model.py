"""A complete model in one file: its weights, the network they are for, and how to preprocess its images.

    save_model("mine.safetensors", model, classes=["cat", "dog"], input=(3, 32, 32), mean=..., std=...)
    model = zoo.load("mine.safetensors")         # in eval mode; model.about["classes"] == ["cat", "dog"]

The file contains no code, only the name of a network of the zoo and its settings, or those of the layers of a
Sequential (see `nn/blueprint.py`). A network with a `forward` of your own is loaded with `create`, a function that
makes it. The best.safetensors and last.safetensors of a training run are such files too.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.device import Device
from minidl.io.checkpoint import CheckpointError, save_checkpoint
from minidl.io.facts import ABOUT as ABOUT
from minidl.io.facts import LARGEST, describe, facts_of, known
from minidl.io.onnx_file import is_onnx, load_onnx
from minidl.io.weights import load_into, read_weights
from minidl.kernels import using
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.blueprint import built, of_layers
from minidl.nn.init import at_most
from minidl.nn.normalization import BatchNorm
from minidl.nn.observe import observed
from minidl.nn.shapes import zeros_for
from minidl.tensor import Tensor

OWN = 1 << 28                                    # weights that a network may have if a user asks for other settings, or
                                                 # a part of it was replaced; numbers that a layer may make of an image

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

    build    build(name, settings) makes the network that the file names, unless it is one of public layers;
             `zoo.load(path)` passes the zoo's
    create   create() makes the network instead, whatever the file names: for a class of your own
    key      which weights, if a PyTorch file holds several; see `load_weights`
    A file of ONNX holds the network itself, so neither is called for: see `load_onnx`.
    Raises FileNotFoundError or CheckpointError; TypeError without `build` and `create`, where they are needed.
    """
    if create is not None:
        model = create()
        if not isinstance(model, Module):
            raise TypeError(f"load_model: create() must return an nn.Module, not {type(model).__name__}")
        arrays, facts = read_weights(path, key, model)
    elif is_onnx(path):
        return load_onnx(path).to(device)
    else:
        arrays, facts = read_weights(path, key)
        model = rebuilt(path, arrays, facts.get("architecture"), build or needed)
    load_into(model, arrays, path)
    model.about = known(path, facts)
    if create is None and "input" in model.about and of_layers(facts["architecture"]):
        check_outputs(path, model, model.about["input"])
    return model.to(device).eval()


def needed(name: str, settings: dict[str, Any]) -> Module:
    """The `build` of who gave none."""
    raise Needed(f"load_model: pass create=, a function that makes the network, or call zoo.load for a network of the "
                 f"zoo, as {name!r:.60} may be")


class Needed(TypeError):
    """A network that is not of public layers alone was to be built, and `load_model` was not told how."""


def rebuilt(path: str | Path, arrays: dict[str, np.ndarray], architecture: Any, build: Build,
            settings: dict[str, Any] | None = None) -> Module:
    """A new network of the `architecture` in the file, with random weights; `settings` override the file's."""
    if not (isinstance(architecture, dict) and isinstance(architecture.get("name"), str)
            and isinstance(architecture.get("settings"), dict)):
        raise nameless(path, architecture)

    def checked(name: str, given: dict[str, Any]) -> Module:
        if not all(map(is_setting, map(listed, given.values()))):
            raise ValueError(f"from {given!r:.200}")
        return build(name, {key: listed(value) for key, value in given.items()})

    try:
        # some networks draw their weights twice; settings that need far more than the file holds are forged
        larger = settings or "changes" in architecture       # of which a part may be replaced
        with at_most(max(4 * sum(array.size for array in arrays.values()), OWN if larger else 0)):
            return built({**architecture, "settings": {**architecture["settings"], **(settings or {})}}, checked)
    except Needed:
        raise
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError) as error:
        raise CheckpointError(f"{path}: its network cannot be built ({error})") from error


def listed(value: Any) -> Any:
    """A tuple as a list, as JSON has it."""
    return list(value) if isinstance(value, tuple) else value


def check_outputs(path: str | Path, model: Module, shape: Sequence[int]) -> None:
    """Raise CheckpointError if a layer makes too much of an image: the file, whose settings it has, may be forged.

    Shapes are computed with a batch of no images, so nothing is allocated.
    """
    def see(name: str, module: Module, inputs: tuple, settings: dict[str, Any], out: Any) -> None:
        if isinstance(out, Tensor) and math.prod(out.shape[1:]) > OWN:
            raise ValueError(f"layer {name} makes {' x '.join(map(str, out.shape[1:]))} numbers of an image, more than "
                             f"{OWN:,}")
    try:
        with observed(model.eval(), see), using("plain"), no_grad():
            for _, module in model.named_modules():
                if isinstance(module, BatchNorm) and module.running_mean is None:      # it needs images, or moments
                    module.running_mean = module.running_var = Tensor(np.ones(module.num_features, np.float32))
            model(zeros_for(model, (0, *shape)))
    except Exception as error:
        raise CheckpointError(f"{path}: its network does not take images of {' x '.join(map(str, shape))} ({error})"
                              ) from error


def nameless(path: str | Path, architecture: Any) -> CheckpointError:
    """The error for a file that is for a network outside the zoo, or does not say for which."""
    if architecture:
        what = f"{path}: it is for {architecture!r:.100}, which is not in the zoo; "
        return CheckpointError(f"{what}load it with load_model(path, create=...), where create() makes the network",
                               f"{what}--from MODULE:FUNCTION names the function of yours that makes it")
    what = f"{path}: it does not say which network it is for; "
    return CheckpointError(f"{what}load it with load_model(path, create=...), where create() makes the network",
                           f"{what}`minidl convert {path} --model NAME -o NEW` makes a model file of it, or --from "
                           "MODULE:FUNCTION names a function of yours that makes the network")


def is_setting(value: Any) -> bool:
    """Whether a value can be the setting of a network: a number, a string, None, or a list of them."""
    if isinstance(value, list):
        return len(value) < 1000 and all(not isinstance(item, list) and is_setting(item) for item in value)
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= LARGEST)
