"""`torch.save` and `torch.load`, without pickles: nested dictionaries and lists of arrays and plain values.

`save` writes one safetensors file: the arrays, and their tree as JSON in the header. Names of the arrays are the paths
to them, so `minidl.io.load_weights` finds the weights of a model in it too. `load` reads such files, other safetensors
files, and those of PyTorch itself (see `minidl/io/torch_file.py`). Nothing in a file is executed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl import Tensor
from minidl.io.checkpoint import CheckpointError, existing, load_checkpoint, save_checkpoint
from minidl.io.pickles import Opaque
from minidl.io.torch_file import is_legacy, open_torch_legacy, open_torch_tar, open_torch_zip
from minidl.io.torch_tensors import StoredTensor, tensor_of
from minidl.nn import Module
from minidl.scalars import PYTHON, plain

TREE = "tree"                                    # the fact that holds the tree
DEEPEST = 64                                     # levels of a tree
MOST = 1 << 20                                   # values in a file of PyTorch


def save(value: Any, path: str | Path) -> None:
    """Write dictionaries, lists and tuples of tensors, arrays, numbers, text and None; the file is never half written.

    Raises TypeError for anything else, such as a whole model: save model.state_dict().
    """
    arrays: dict[str, np.ndarray] = {}
    tree = written(value, "", arrays, DEEPEST)
    save_checkpoint(path, arrays, {TREE: tree})


def written(value: Any, path: str, arrays: dict[str, np.ndarray], depth: int) -> Any:
    """The tree of a value for JSON, in which {"array": name} stands for an array; those are added to `arrays`."""
    if isinstance(value, Module):
        raise TypeError(f"save: {path or 'the value'} is a {type(value).__name__}; save its state_dict(), and build "
                        "the model again to load it")
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        name = path or "value"
        while name in arrays:
            name += "'"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict | list | tuple) and not depth:
        raise TypeError(f"save: {path[:40]}... has more than {DEEPEST} levels of dictionaries and lists")
    if isinstance(value, dict):
        return {"dict": [[key_of(key, path), written(item, joined(path, key), arrays, depth - 1)]
                         for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [written(item, joined(path, i), arrays, depth - 1) for i, item in enumerate(value)]}
    if type(number := plain(value)) not in PYTHON:
        raise TypeError(f"save: {path or 'the value'} is a {type(value).__name__}; only tensors, arrays, numbers, "
                        "text, None, and dictionaries and lists of them can be saved")
    return {"value": number}


def key_of(key: Any, path: str) -> Any:
    """A key of a dictionary, if it is text or a number."""
    if type(plain(key)) not in PYTHON:
        raise TypeError(f"save: {path or 'the value'} has the key {key!r:.60}; keys must be text or numbers")
    return plain(key)


def joined(path: str, key: Any) -> str:
    """model and conv.weight -> model.conv.weight"""
    return f"{path}.{key}" if path else str(key)


def load(path: str | Path, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """What `save`, or PyTorch's torch.save, wrote: dictionaries and lists of tensors and plain values.

    map_location  a device for the tensors; by default they are on the CPU
    weights_only  nothing in a file is executed; False is refused
    Half precision becomes float32. Raises FileNotFoundError or CheckpointError.
    """
    if not weights_only:
        raise ValueError("load: weights_only=False would execute what is in the file; nothing does that here")
    path, device = existing(path), None if map_location is None else str(map_location)
    opened = opener(path)
    if opened is not None:
        with opened(path) as (tree, array):
            return Tree(path, array, device).read(tree)
    arrays, facts = load_checkpoint(path)
    tensors = {name: tensor(array, device) for name, array in arrays.items()}
    if TREE not in facts:
        return tensors
    try:
        return read(facts[TREE], tensors, DEEPEST)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: its tree is damaged ({type(error).__name__}: {error})") from error


def tensor(array: np.ndarray, device: str | None) -> Tensor:
    """A tensor of an array in a file."""
    return Tensor(array.astype(np.float32) if array.dtype == np.float16 else array, device=device)


def opener(path: Path) -> Callable[..., Any] | None:
    """The function that opens a file of PyTorch; None for another file."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        return open_torch_zip
    if is_legacy(start[:64]):
        return open_torch_legacy
    return open_torch_tar if start[257:].startswith(b"ustar") else None


def read(tree: Any, tensors: dict[str, Tensor], depth: int) -> Any:
    """The value of a tree that `written` returned."""
    [(kind, content)] = tree.items()
    if kind == "array":
        return tensors[content]
    if kind == "value" and type(content) in PYTHON:
        return content
    if not depth or not isinstance(content, list):
        raise ValueError(f"unexpected {kind!r:.40}")
    if kind == "dict":
        return {key: read(item, tensors, depth - 1) for key, item in content}
    if kind not in ("list", "tuple"):
        raise ValueError(f"unexpected {kind!r:.40}")
    items = [read(item, tensors, depth - 1) for item in content]
    return tuple(items) if kind == "tuple" else items


class Tree:
    """The tree of a file of PyTorch, with its tensors read.

    A few bytes can describe endless dictionaries, and tensors far larger than the file. So values are counted, and a
    tensor is copied, to be written to, while all copies take little more than the file; further ones are read-only.
    """

    def __init__(self, path: Path, array: Callable[[StoredTensor], np.ndarray], device: str | None) -> None:
        self.path, self.array, self.device = path, array, device
        self.values, self.bytes = MOST, 2 * path.stat().st_size + (1 << 20)
        self.tensors: dict[StoredTensor, Tensor] = {}

    def read(self, value: Any, depth: int = DEEPEST) -> Any:
        """The value at a place of the tree. Raises CheckpointError for objects of other classes."""
        self.values -= 1
        value = tensor_of(value)
        if isinstance(value, StoredTensor):
            return self.tensor(value)
        if type(value) not in (dict, list, tuple):
            if type(value) in PYTHON or isinstance(value, bytes):
                return value
            name = value.name if isinstance(value, Opaque) else type(value).__name__
            raise CheckpointError(f"{self.path}: it holds an object of the class {name!r:.80}, which cannot be loaded; "
                                  "save state dictionaries, tensors and plain values")
        if not depth or self.values < 0:
            raise CheckpointError(f"{self.path}: more than {DEEPEST} levels of dictionaries, or {MOST} values")
        if isinstance(value, dict):
            return {key: self.read(item, depth - 1) for key, item in value.items()}
        return type(value)(self.read(item, depth - 1) for item in value)

    def tensor(self, stored: StoredTensor) -> Tensor:
        """The tensor, the same one wherever the file has it."""
        if stored not in self.tensors:
            array = self.array(stored)
            self.bytes -= array.nbytes
            self.tensors[stored] = tensor(array.copy() if self.bytes >= 0 else array, self.device)
        return self.tensors[stored]
