"""Weights: read from files of several formats, and copied into a model.

    load_into(model, load_weights("resnet18-f37072fd.pth"))

A file's first bytes, not its name, decide its format: safetensors, .npz, or one of PyTorch's three formats. Nothing in
a file is executed (see `pickles.py`), and either all of a model's weights are replaced or none.
"""

import os
import zipfile
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from minidl.io.checkpoint import MAX_SIZE, CheckpointError, existing, load_checkpoint, weights_among
from minidl.io.foreign import beginning, object_of
from minidl.io.keras import from_keras, is_keras
from minidl.io.npz import read_npz
from minidl.io.onnx_proto import read_onnx, starts_as_onnx
from minidl.io.pickles import Opaque
from minidl.io.state_dicts import (
    COUNTER,
    Shapes,
    checked,
    choose,
    dictionaries,
    fitting_prefix,
    plain_names,
    renamed,
    stripped,
)
from minidl.io.torch_file import is_legacy, open_torch_legacy, open_torch_tar, open_torch_zip
from minidl.io.torch_tensors import StoredTensor, tensor_of
from minidl.nn import Module
from minidl.tensor import Tensor

LISTED = 12                                      # mismatches that an error lists; a wrong network has hundreds
LONGEST = 300                                    # characters of a line in an error; names come from files
MAX_HEADER = 1 << 32                             # bytes; text, too, may have a brace at this place
TAR = b"ustar"                                   # at byte 257 of a tar archive


def load_weights(path: str | Path, key: str | None = None, model: Module | None = None) -> dict[str, np.ndarray]:
    """{name: NumPy array} of a file of weights: safetensors, .npz, ONNX, or PyTorch's .pth and .pt.

    key     which weights, if a file holds several: the dictionary of that name in a PyTorch file, as in "netG" or
            "models/netG"; or, ending with a dot, the beginning of their names, as in "encoder."
    model   the network they are for: it decides which dictionary they are, and what a prefix of all names means
    A dictionary around the weights, as in {"state_dict": ..., "epoch": 3}, and whatever is beside them are left out,
    and so are the prefixes "module.", "model." and "_orig_mod." of every name; bfloat16 becomes float32. Treat the
    arrays as read-only. Raises FileNotFoundError or CheckpointError.
    """
    return read_weights(path, key, model)[0]


def read_weights(path: str | Path, key: str | None = None,
                 model: Module | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights, and the facts in a safetensors file.   ->  ({name: array}, {key: value})"""
    path = existing(path)
    size = path.stat().st_size
    if size > MAX_SIZE:
        raise CheckpointError(f"{path}: {size} bytes are more than a file of weights can have ({MAX_SIZE})")
    own = shapes(model) if model is not None else None
    prefix, key = (key, None) if key and key.endswith(".") else ("", key)
    arrays, facts = read_any(path, key, own if not prefix else None)
    if prefix and not stripped(arrays, prefix):
        raise CheckpointError(f"{path}: none of its names begins with {prefix!r}; they are like "
                              f"{next(iter(arrays), '')!r}")
    arrays = stripped(arrays, prefix)
    if "minidl" not in facts:                    # names in a file of our own are as they should be
        arrays = plain_names(arrays)
    return renamed(arrays, own) if own else arrays, facts


def read_any(path: Path, key: str | None, own: Shapes | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and facts of a file, whatever its format, by the names in it."""
    with path.open("rb") as file:
        start = file.read(512)
        file.seek(-min(8, file.seek(0, 2)), 2)
        end = file.read()
    if start.startswith(b"PK\x03\x04") and not holds_npy(path):
        return state_dict(path, open_torch_zip, key, own), {}
    if is_legacy(start[:64]):
        return state_dict(path, open_torch_legacy, key, own), {}
    if start[257:].startswith(TAR):
        return state_dict(path, open_torch_tar, key, own), {}
    if key is not None:
        raise CheckpointError(f"{path}: only files of PyTorch hold dictionaries, such as {key!r}, to choose from; "
                              "choose among names by their beginning and a dot, as in 'encoder.'")
    if start.startswith(b"PK\x03\x04"):
        arrays = read_npz(path)
        return from_keras(path, arrays) if is_keras(arrays) else (arrays, {})
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < MAX_HEADER:
        arrays, facts = load_checkpoint(path)
        return weights_among(arrays), facts
    if starts_as_onnx(start):
        return read_onnx(path)
    raise CheckpointError(f"{path}: neither safetensors nor .npz nor ONNX nor a PyTorch file; it "
                          f"{beginning(start, end)}")


def shapes(model: Module) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the parameters and buffers of a network."""
    return {name: tensor.shape for name, tensor in model.named_state()}


def holds_npy(path: Path) -> bool:
    """Whether a zip archive consists of .npy files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except Exception as error:                   # BadZipFile, OSError and others, depending on the damage
        raise CheckpointError(f"{path}: truncated or damaged ({error})") from error


def state_dict(path: Path, opened: Any, key: str | None, own: Shapes | None) -> dict[str, np.ndarray]:
    """The arrays of the dictionary of weights in a PyTorch file, which `opened(path)` opens."""
    with opened(path) as (tree, array):
        found = choose(dictionaries(tree), key, own)
        if found is None:
            raise CheckpointError(nothing_in(tree))
        return {name: array(tensor) for name, tensor in checked(found, own).items()}


def nothing_in(tree: Any) -> str:
    """Why a tree without named tensors is no file of weights."""
    if isinstance(tree, Opaque):
        return f"it asks for {tree.name!r}, {object_of(tree.name)}"
    values = tree if isinstance(tree, dict) else dict(enumerate(tree)) if type(tree) in (list, tuple) else {}
    if "param_groups" in values:
        return "it holds the state of an optimizer; the weights are in another file"
    if any(isinstance(tensor_of(value), StoredTensor) for value in values.values()):
        return "its weights have no names"
    if objects := {key: value.name for key, value in values.items() if isinstance(value, Opaque)}:
        key, name = next(iter(objects.items()))
        return f"it asks for {name!r} where the tensor {key!r:.60} should be, {object_of(name)}"
    keys = ", ".join(f"{key!r:.40}" for key in list(values)[:10] if isinstance(key, str | int))
    return ("it holds no named weights, as torch.save(model.state_dict(), path) writes them"
            + (f"; it holds {keys}" if keys else ""))


def load_into(model: Module, weights: dict[str, np.ndarray] | str | Path, path: str | Path = "these weights",
              new_head: bool = False) -> Module:
    """Copy {name: array}, or the weights in a file, into `model`, and return it; nothing changes unless all fits.

    `path` begins an error message. With new_head=True, the classifier layers of the model keep their weights if
    `weights` are for another number of classes; all other layers must fit. A prefix of all names does not matter.
    Raises CheckpointError, which lists the mismatches.
    """
    if isinstance(weights, str | os.PathLike):
        return load_into(model, load_weights(weights, model=model), weights, new_head)
    if not isinstance(weights, dict):
        raise TypeError(f"load_into: weights must be a dictionary of arrays or the path of a file, "
                        f"not {type(weights).__name__}")
    weights = {name: array if isinstance(array, Tensor) else np.asarray(array) for name, array in weights.items()}
    own = shapes(model)
    counters = {name: tensor.numpy() for name, tensor in model.named_state() if name.endswith(COUNTER)}
    weights = {**counters, **renamed(weights, own)}
    head = head_of(own, weights)
    kept = {name: tensor.numpy() for name, tensor in model.named_state() if head and new_head and name in head}
    try:
        model.load_state_dict({**weights, **kept})
    except ValueError as error:
        text = shortened(str(error).removeprefix("load_state_dict: "))
        if head:
            raise other_head(path, text, head, len(weights[head[0]]), own[head[0]][0]) from error
        raise misfit(path, text, fitting_prefix(weights, own)) from error
    return model


def other_head(path: str | Path, text: str, head: list[str], theirs: int, ours: int) -> CheckpointError:
    """The error for weights that are for another number of classes, and fit otherwise."""
    whole = f"{path}: {text}\nThey are for {theirs} classes and the model is for {ours}: "
    return CheckpointError(f"{whole}new_head=True keeps the model's own {' and '.join(head)}, and loads the rest",
                           f"{whole}`minidl convert --set num_classes={theirs}` makes the network of the weights")


def misfit(path: str | Path, text: str, prefix: str | None) -> CheckpointError:
    """The error for weights that do not fit, although all that the network needs may be there behind a prefix."""
    if prefix is None:
        return CheckpointError(f"{path}: {text}")
    whole = f"{path}: {text}\nAll names fit that begin with {prefix!r}: choose them with "
    return CheckpointError(f"{whole}load_weights(path, key={prefix!r})",
                           f"{whole}`minidl convert --key {quote(prefix)}`")


def shortened(text: str) -> str:
    """The lines of a list of mismatches, without those beyond the first dozen, and without the middle of long ones."""
    lines = [line if len(line) < LONGEST else f"{line[:LONGEST // 2]} ... {line[-LONGEST // 2:]}"
             for line in text.splitlines()]
    rest = len(lines) - 1 - LISTED
    return "\n".join(lines if rest < 2 else [*lines[:1 + LISTED], f"  and {rest} more mismatches"])


def head_of(own: Shapes, weights: dict[str, np.ndarray]) -> list[str]:
    """The arrays that differ only in their first length, all in the same way: the classifier layers."""
    if set(own) != set(weights):
        return []
    differing = [name for name in own if np.shape(weights[name]) != own[name]]
    lengths = {(np.shape(weights[name])[:1], own[name][:1]) for name in differing}
    rest = all(np.shape(weights[name])[1:] == own[name][1:] for name in differing)
    return differing if rest and len(lengths) == 1 and all(map(all, lengths)) else []
