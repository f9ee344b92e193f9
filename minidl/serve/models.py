"""The networks that a server has loaded, under the names of their files."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

import zoo
from minidl.errors import for_command
from minidl.evaluation.decisions import both_logits
from minidl.evaluation.probable import class_names
from minidl.io.checkpoint import located
from minidl.io.image import Preprocessing
from minidl.modes import no_grad
from minidl.nn import Module, fold_batch_norm
from minidl.plot import network
from minidl.plot.inside import cam_of
from minidl.serve.problem import Problem
from minidl.summary import summary
from minidl.tensor import Tensor

Create = Callable[[], Module]                    # makes the network, for a file with a class of the user's own
Stamp = tuple[int, int, int]                     # of a file: changes when the file is replaced


class Served:
    """One network, ready to predict. It computes in the thread of kernels only (see `batches.py`)."""

    def __init__(self, name: str, path: Path, create: Create | None = None) -> None:
        self.name, self.path = name, path
        self.stamp = stamp_of(path)              # before the file is read: what is replaced meanwhile is read again
        self.model = zoo.load(path, create=create)
        self.preprocessing = Preprocessing.of_model(path, self.model)
        self.architecture = self.model.architecture["name"] if hasattr(self.model, "architecture") else ""
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.classes: list[str] = []
        self.multiply_adds = 0                   # for one image
        self.explains_one = False                # whether there is a single logit, that of class 1
        self.drawing = ""                        # of the network as it is in the file, SVG

    def warm_up(self) -> "Served":
        """Draw the network, fold batch norms, compile the kernels, also Grad-CAM's, and check what the network gives.

        Raises CheckpointError.
        """
        example = np.zeros((1, *self.preprocessing.input), np.float32)
        try:
            self.drawing = network(self.model, self.preprocessing.input)
            self.multiply_adds = summary(self.model, self.preprocessing.input).multiply_adds
            self.model = folded(self.model, example)
            with no_grad():
                logits = self.model(Tensor(example)).numpy()
            if logits.ndim != 2:
                raise ValueError(f"it gives {logits.shape[1:]} for an image, and not a number for each class; only "
                                 "networks that classify images can be served")
            self.explains_one = logits.shape[1] == 1
            self.classes = class_names(self.model, max(2, logits.shape[1]))
            if not np.isfinite(logits).all():
                raise ValueError("its output is NaN or infinity: its weights are damaged, or training diverged")
            with suppress(ValueError):           # no layer gives maps
                cam_of(self.model, example)
        except ValueError as error:
            raise located(self.path, error) from error
        return self

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 (N, C, H, W), preprocessed  ->  NumPy (N, classes); a single logit z becomes (0, z)"""
        with no_grad():
            return both_logits(self.model(Tensor(images))).numpy()

    @property
    def can_be_drawn_for(self) -> bool:
        """Whether its images are so small and grey that one can draw them."""
        return self.preprocessing.input == (1, 28, 28)


def folded(model: Module, example: np.ndarray) -> Module:
    """The model with batch norms folded into convolutions, or itself where they cannot be."""
    try:
        return fold_batch_norm(model, example)
    except (ValueError, TypeError):              # it has several outputs, or rounding grows
        return model


def stamp_of(path: Path) -> Stamp:
    """What changes when another file takes the place of a file. Raises OSError."""
    facts = os.stat(path)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


class Models:
    """The networks by name. A request keeps the one that it has got, also if another takes the name meanwhile."""

    def __init__(self, arguments: Iterable[str], create: Create | None = None) -> None:
        self.files, self.create = named(arguments), create
        self.loaded: dict[str, Served] = {}
        self.failed: dict[str, Stamp] = {}       # files that could not be loaded again

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self.loaded.values()))

    def load(self) -> "Models":
        """Load every file. Raises OSError or CheckpointError."""
        for name, path in self.files.items():
            self.loaded[name] = Served(name, path, self.create).warm_up()
        return self

    def get(self, name: str | None) -> Served:
        """The network of a name; without a name, the only one. Raises Problem."""
        if name is None and len(self.loaded) == 1:
            return next(iter(self.loaded.values()))
        if name is None:
            raise Problem(400, f"there are several models; choose one with ?model=, from {', '.join(self.loaded)}")
        if name not in self.loaded:
            raise Problem(404, f"there is no model {name!r:.80}; there are {', '.join(self.loaded)}")
        return self.loaded[name]

    def replaced(self) -> list[tuple[str, Stamp]]:
        """The names whose files were replaced since they were loaded, with the files' stamps."""
        found = []
        for served in self:
            try:
                stamp = stamp_of(served.path)
            except OSError:                      # between two files: the network that is loaded stays
                continue
            if stamp not in (served.stamp, self.failed.get(served.name)):
                found.append((served.name, stamp))
        return found


def named(arguments: Iterable[str]) -> dict[str, Path]:
    """{name: file} of arguments FILE or NAME=FILE; a file without a name has that of its stem."""
    files: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or os.path.exists(argument):
            name, path = Path(argument).stem, argument
        if not name or "/" in name or not path:
            raise ValueError(f"{argument!r} is not FILE or NAME=FILE")
        if name in files:
            problem = f"two models would be called {name!r}, {files[name]} and {path}; rename one with NAME={path}"
            raise for_command(ValueError(f"serve: {problem}"), problem)
        files[name] = Path(path)
    return files
