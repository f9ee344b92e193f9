"""The network of a command: one of the zoo, that in a model file, or one of the user's own, which --from makes.

    minidl predict cat.jpg --model best.safetensors --from my_nets:small      # small() in my_nets.py makes the network
    minidl draw --from nets/small.py:make --input 1,28,28 -o small.svg

A file never says which code to run: only this flag does. A network in a file of ONNX can be trained: --from net.onnx.
"""

import argparse
import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import zoo
from minidl.io import load_model, load_onnx
from minidl.io.checkpoint import existing
from minidl.nn import Module, init


def add_from(parser: Any) -> None:
    """Add the flag --from; `args.create` is then a function that makes the network, or None."""
    parser.add_argument("--from", dest="create", metavar="MODULE:FUNCTION", type=Maker,
                        help="the function that makes the network, for one with a class of your own: my_nets:make, or "
                        "nets/my_nets.py:make; it is called without arguments")


class Maker:
    """The function that --from names. Its module is imported when it is first called, or asked for its settings."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place, _, self.name = text.rpartition(":")
        if not text.endswith(".onnx") and not (self.place and self.name.isidentifier()):
            raise argparse.ArgumentTypeError(f"{text!r:.80} is not MODULE:FUNCTION, such as my_nets:make, or "
                                             "nets/my_nets.py:make")

    @functools.cached_property
    def function(self) -> Callable[..., Any]:
        """The function itself. Raises ValueError or OSError if there is none."""
        if self.text.endswith(".onnx"):
            return functools.partial(load_onnx, existing(self.text))
        module = imported(self.place)
        found = getattr(module, self.name, None)
        if not callable(found):
            near = difflib.get_close_matches(self.name, [key for key in vars(module) if callable(getattr(module, key))])
            raise ValueError(f"--from {self.text}: {self.name} is no function in {self.place}"
                             + (f"; did you mean {' or '.join(near)}?" if near else ""))
        return found

    def takes(self) -> set[str]:
        """The names of the settings that the function takes."""
        return set(inspect.signature(self.function).parameters)

    def __call__(self, **settings: Any) -> Module:
        model = self.function(**settings)
        if not isinstance(model, Module):
            raise ValueError(f"--from {self.text}: it returned a {type(model).__name__}, not an nn.Module")
        return model

    def __str__(self) -> str:
        return self.text


def imported(place: str) -> Any:
    """A module by its name, found from the current folder too, or by the path of its file."""
    if not place.endswith(".py"):
        sys.path.insert(0, os.getcwd())          # as `python -m` does
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{place}.".startswith(f"{error.name}."):
                raise                            # a module that it imports
            raise ValueError(f"--from {place}: there is no such module in this folder, nor an installed one") from None
    path = existing(place)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model_and_input(name: str | None, shape: tuple[int, ...] | None,
                    create: Maker | None = None) -> tuple[Module, Any]:
    """A network of the zoo, the model in a file, or what `create` makes; and the shape of its images, or None.

    With `create` and a name, the weights are those in the file.
    """
    if create is not None:
        model = create().eval() if name is None else load_model(existing(name), create=create)
        return model, shape or getattr(model, "about", {}).get("input")
    if name is None:
        raise ValueError("name a network of `minidl zoo` or a model file, or give --from MODULE:FUNCTION")
    is_path = os.path.exists(name) or os.path.splitext(name)[1] or os.path.basename(name) != name
    if name not in zoo.names() and is_path:
        model = zoo.load(existing(name))
        return model, shape or model.about.get("input")
    size = zoo.image_size(name)
    with init.placeholders():
        model = zoo.build(name, {"in_channels": shape[0]} if shape else {})
    return model, shape or (model.architecture["settings"]["in_channels"], size, size)
