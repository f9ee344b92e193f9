"""Weights: read from files of several formats, and copied into a model.

    load_into(model, load_weights("resnet18-f37072fd.pth"))

A file's first bytes, not its name, decide its format: safetensors, .npz, or one of PyTorch's two formats. Nothing in a
file is executed (see `pickles.py`), and either all of a model's weights are replaced or none.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from minidl.io.checkpoint import MAX_SIZE, CheckpointError, load_checkpoint, weights_among
from minidl.io.keras import from_keras, is_keras
from minidl.io.npz import read_npz
from minidl.io.torch_file import LEGACY_MAGIC, read_torch_legacy, read_torch_zip
from minidl.nn import Module

WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
PREFIXES = ("module.", "_orig_mod.")             # added by DataParallel and torch.compile
COUNTER = ".num_batches_tracked"                 # a buffer of batch normalization, absent before PyTorch 0.4.1


def load_weights(path: str | Path) -> dict[str, np.ndarray]:
    """{name: NumPy array} of a file of weights: safetensors, .npz, or PyTorch's .pth and .pt, old and new.

    A dictionary around the weights, as in {"state_dict": ..., "epoch": 3}, and a prefix "module." of every name are
    removed; bfloat16 becomes float32. Treat the arrays as read-only. Raises FileNotFoundError or CheckpointError.
    """
    return read_weights(path)[0]


def read_weights(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights, and the facts in a safetensors file.   ->  ({name: array}, {key: value})"""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    size = path.stat().st_size
    if size > MAX_SIZE:
        raise CheckpointError(f"{path}: {size} bytes are more than a file of weights can have ({MAX_SIZE})")
    with path.open("rb") as file:
        start = file.read(len(LEGACY_MAGIC))
    if start[8:9] == b"{":
        arrays, facts = load_checkpoint(path)
        return weights_among(arrays), facts
    if start == LEGACY_MAGIC:
        return state_dict(path, read_torch_legacy(path)), {}
    if not start.startswith(b"PK\x03\x04"):
        raise CheckpointError(f"{path}: neither safetensors nor .npz nor a PyTorch file; it {beginning(start)}")
    if holds_npy(path):
        arrays = read_npz(path)
        return from_keras(path, arrays) if is_keras(arrays) else (arrays, {})
    return state_dict(path, read_torch_zip(path)), {}


def beginning(start: bytes) -> str:
    """A description of a file by its first bytes."""
    if start.startswith(b"\x89HDF"):
        return "is HDF5; save the arrays with numpy.savez instead"
    if start.startswith(b"\x93NUMPY"):
        return "is a single NumPy array without a name; save all arrays with numpy.savez instead"
    if start.startswith(b"\x80"):
        return "is a pickle that PyTorch did not write; save the arrays with numpy.savez or safetensors instead"
    return f"begins with {start!r}" if start else "is empty"


def holds_npy(path: Path) -> bool:
    """Whether a zip archive consists of .npy files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except Exception as error:                   # BadZipFile, OSError and others, depending on the damage
        raise CheckpointError(f"{path}: truncated or damaged ({error})") from error


def state_dict(path: Path, tree: Any) -> dict[str, np.ndarray]:
    """The one dictionary of arrays in a PyTorch file, with the model's own names."""
    weights = unwrapped(path, tree)
    arrays = {name: value for name, value in weights.items() if isinstance(value, np.ndarray)}
    if not all(isinstance(name, str) for name in arrays):
        raise CheckpointError(f"{path}: its weights have no names")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in arrays)), None):
        arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays


def unwrapped(path: Path, tree: Any) -> dict:
    """The dictionary of arrays in `tree`, at most three dictionaries deep."""
    for _ in range(4):
        if not isinstance(tree, dict):
            break
        if any(isinstance(value, np.ndarray) for value in tree.values()):
            return tree
        inner = {key: value for key, value in tree.items() if isinstance(value, dict)}
        named = [key for key in WRAPPINGS if inner.get(key)]
        if not named and len(inner) != 1:
            break
        tree = inner[named[0]] if named else next(iter(inner.values()))
    raise CheckpointError(f"{path}: it holds no named weights, as torch.save(model.state_dict(), path) writes them")


def load_into(model: Module, weights: dict[str, np.ndarray], path: str | Path = "these weights",
              new_head: bool = False) -> Module:
    """Copy {name: array} into `model`, and return it; nothing is changed unless everything fits.

    `path` begins an error message. With new_head=True, the classifier layers of the model keep their weights if
    `weights` are for another number of classes; all other layers must fit. Raises CheckpointError, which lists all
    mismatches.
    """
    own = model.state_dict()
    counters = {name: own[name] for name in own if name.endswith(COUNTER) and name not in weights}
    weights = {**weights, **counters}
    head = head_of(own, weights)
    if head and new_head:
        weights = {**weights, **{name: own[name] for name in head}}
    try:
        model.load_state_dict(weights)
    except ValueError as error:
        hint = ""
        if head:
            theirs, ours = len(weights[head[0]]), len(own[head[0]])
            hint = (f"\nThey are for {theirs} classes and the model is for {ours}: new_head=True keeps the model's own "
                    f"{' and '.join(head)}, and loads the rest")
        raise CheckpointError(f"{path}: {error}{hint}") from error
    return model


def head_of(own: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> list[str]:
    """The arrays that differ only in their first length, all in the same way: the classifier layers."""
    if set(own) != set(weights):
        return []
    differing = [name for name in own if np.shape(weights[name]) != own[name].shape]
    lengths = {(np.shape(weights[name])[:1], own[name].shape[:1]) for name in differing}
    rest = all(np.shape(weights[name])[1:] == own[name].shape[1:] for name in differing)
    return differing if rest and len(lengths) == 1 and all(map(all, lengths)) else []
