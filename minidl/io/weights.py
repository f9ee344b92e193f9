"""Weights from files of every kind, and into a model.

    load_into(model, load_weights("resnet18-f37072fd.pth"))

What a file is, is told by its first bytes and not by its name: safetensors, .npz, or PyTorch's own two formats. Nothing
in a file is run (see `pickles.py`), and a model gets all of its weights or keeps those it has.
"""

import zipfile
from pathlib import Path

import numpy as np

from minidl.io.checkpoint import MAX_SIZE, CheckpointError, load_checkpoint, weights_among
from minidl.io.keras import from_keras, is_keras
from minidl.io.npz import read_npz
from minidl.io.torch_file import LEGACY_MAGIC, read_torch_legacy, read_torch_zip

WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
PREFIXES = ("module.", "_orig_mod.")             # of DataParallel and of torch.compile
COUNTER = ".num_batches_tracked"                 # a buffer of batch normalization, which PyTorch before 0.4.1 lacked


def load_weights(path):
    """{name: NumPy array} of a file of weights: safetensors, .npz, or PyTorch's .pth and .pt, old and new.

    A dictionary around the weights, as in {"state_dict": ..., "epoch": 3}, and "module." before every name are taken
    off; bfloat16 becomes float32. The arrays are not to be written to. Raises FileNotFoundError or CheckpointError.
    """
    return read_weights(path)[0]


def read_weights(path):
    """The weights, and the facts that a safetensors file tells of them.   ->  ({name: array}, {key: value})"""
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
        raise CheckpointError(f"{path}: neither safetensors nor .npz nor a file of PyTorch; it {beginning(start)}")
    if holds_npy(path):
        arrays = read_npz(path)
        return from_keras(path, arrays) if is_keras(arrays) else (arrays, {})
    return state_dict(path, read_torch_zip(path)), {}


def beginning(start):
    """What the first bytes of a file tell."""
    if start.startswith(b"\x89HDF"):
        return "is HDF5; save the arrays with numpy.savez instead"
    if start.startswith(b"\x93NUMPY"):
        return "is one array of NumPy's without a name; save all with numpy.savez instead"
    if start.startswith(b"\x80"):
        return "is a pickle of another program; save the arrays with numpy.savez or safetensors instead"
    return f"begins with {start!r}" if start else "is empty"


def holds_npy(path):
    """Whether a zip archive is one of .npy files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except Exception as error:                   # BadZipFile, or by which of its numbers is wrong: OSError, and more
        raise CheckpointError(f"{path}: cut short or damaged ({error})") from error


def state_dict(path, tree):
    """The one dictionary of arrays in what a file of PyTorch holds, with the names that the model itself has."""
    weights = unwrapped(path, tree)
    arrays = {name: value for name, value in weights.items() if isinstance(value, np.ndarray)}
    if not all(isinstance(name, str) for name in arrays):
        raise CheckpointError(f"{path}: its weights have no names")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in arrays)), None):
        arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays


def unwrapped(path, tree):
    """The dictionary with arrays in it that lies in `tree`, at most three dictionaries deep."""
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
    raise CheckpointError(f"{path}: it holds no weights with names, as torch.save(model.state_dict(), path) has them")


def load_into(model, weights, path="these weights", new_head=False):
    """Copy {name: array} into `model`, and return the model; it is changed only if all fits.

    `path` begins the error. With new_head=True the layers that give one number per class stay as they are in the model
    where `weights` are for another number of classes; all others must fit. Raises CheckpointError that tells all that
    does not.
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
            hint = (f"\nThey are for {theirs} classes and the model is for {ours}: new_head=True keeps "
                    f"{' and '.join(head)} as the model has them, and loads the rest")
        raise CheckpointError(f"{path}: {error}{hint}") from error
    return model


def head_of(own, weights):
    """The names that differ in their first length alone, and all in the same way: the layers that tell the classes."""
    if set(own) != set(weights):
        return []
    differing = [name for name in own if np.shape(weights[name]) != own[name].shape]
    lengths = {(np.shape(weights[name])[:1], own[name].shape[:1]) for name in differing}
    rest = all(np.shape(weights[name])[1:] == own[name].shape[1:] for name in differing)
    return differing if rest and len(lengths) == 1 and all(map(all, lengths)) else []
