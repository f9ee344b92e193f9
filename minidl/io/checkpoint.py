"""Checkpoints: named arrays, and facts about them, in one safetensors file.

The format is Hugging Face's: a JSON header, then the raw elements. Nothing in it can be executed, unlike in a pickle.
Each fact is a JSON string in the header. Files may come from anywhere, so every defect of a file raises
CheckpointError, which names the file.
"""

import json
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import deserialize, safe_open
from safetensors.numpy import save

from minidl.io.atomic import replacing
from minidl.io.checks import as_path

MAX_SIZE = 1 << 34                               # bytes; 4 billion float32 weights
TYPES = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64"}
SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".npz", ".ckpt", ".bin")
OPTIMIZER, AVERAGE = "optimizer/", "average/"    # prefixes of arrays that are not weights; weights have no slash


class CheckpointError(ValueError):
    """A file is not a checkpoint, or does not fit; the message names the file.

    `for_command` is the message for users of the command line, with flags in place of Python's arguments.
    """

    def __init__(self, message: str, for_command: str | None = None) -> None:
        super().__init__(message)
        self.for_command = for_command or message


def located(path: str | Path, error: Exception) -> CheckpointError:
    """The error, with the name of the file before what it says."""
    if str(error).startswith(f"{path}: ") and isinstance(error, CheckpointError):
        return error
    return CheckpointError(f"{path}: {error}", f"{path}: {getattr(error, 'for_command', error)}")


def save_checkpoint(path: str | Path, arrays: dict[str, np.ndarray], metadata: dict[str, Any] | None = None) -> None:
    """Write {name: NumPy array} and a dictionary of facts that JSON can represent; `path` is never half written.

    NumPy's numbers and arrays count as numbers and lists. Raises TypeError for any other fact, and OSError if the file
    cannot be written; an existing file then stays.
    """
    # safetensors writes an array's memory as it is, so it would scramble an array that is not in C order
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in arrays.items():
        if not isinstance(name, str) or array.dtype.kind not in "biuf" or array.itemsize > 8:
            raise TypeError(f"save_checkpoint: {name!r:.60} must be the name of an array of numbers of at most 64 bits"
                            f", not {type(name).__name__} of {array.dtype}")
    content = save(arrays, {key: as_json(key, value) for key, value in (metadata or {}).items()})
    with replacing(path) as file:
        file.write(content)


def as_json(key: str, value: Any) -> str:
    """A fact as JSON. Raises TypeError, naming the fact, if JSON cannot represent it."""
    def plain(item: Any) -> Any:
        if isinstance(item, np.generic | np.ndarray) and item.dtype.kind in "biufU":
            return item.tolist()
        raise TypeError(f"{item!r:.60} is {type(item).__name__}")
    if not isinstance(key, str):
        raise TypeError(f"the name of a fact must be text, not {type(key).__name__} ({key!r:.60})")
    try:
        return json.dumps(value, default=plain)
    except (TypeError, ValueError, RecursionError) as error:         # a list in itself is a ValueError
        raise TypeError(f"the fact {key!r} cannot be stored: {error}; facts are text, numbers, None, and lists and "
                        "dictionaries of them") from error


def load_checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the facts in a safetensors file.   ->  ({name: NumPy array}, {key: value})

    Facts that are not JSON, as other programs write them, stay strings; bfloat16 becomes float32. Raises
    FileNotFoundError or CheckpointError.
    """
    path = existing(path)
    if path.stat().st_size > MAX_SIZE:
        raise CheckpointError(f"{path}: {path.stat().st_size} bytes are more than a checkpoint can have ({MAX_SIZE})")
    try:
        with safe_open(path, "np") as file:
            types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  (no dictionary)
            if foreign := set(types.values()) - TYPES:
                raise CheckpointError(f"elements of type {' and '.join(sorted(foreign))} are not supported")
            raw = dict(deserialize(path.read_bytes())) if "BF16" in types.values() else {}
            arrays = {name: float32(raw[name]["data"]).reshape(raw[name]["shape"]) if kind == "BF16"
                      else file.get_tensor(name) for name, kind in types.items()}
            return arrays, {key: parsed(text) for key, text in (file.metadata() or {}).items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:                   # of many kinds: the library's own, KeyError for a type NumPy lacks ...
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one ({error})") from error


def existing(path: str | Path) -> Path:
    """The path of a file that is there. Raises OSError or ValueError, which say what else it is."""
    path = as_path("a file of weights", path, CheckpointError)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except OSError as error:                     # a locked folder, a name that is too long, a link to itself
        raise type(error)(error.errno, error.strerror, str(path)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path}: this is a folder, not a file; name a file in it{first_file(path)}")
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{path}: a pipe or a device, not a file")
    return path


def first_file(folder: Path) -> str:
    """The name of a file of weights in a folder, as an example."""
    with suppress(OSError):
        names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
        return next((f", such as {name}" for name in names if not name.startswith(".")), "")
    return ""


def float32(content: bytes) -> np.ndarray:
    """Elements of type bfloat16, which NumPy lacks: each is the upper half of a float32.   bytes -> (N,)"""
    return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)


def weights_among(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's weights, without the other arrays of a checkpoint."""
    return {name: array for name, array in arrays.items() if not name.startswith((OPTIMIZER, AVERAGE))}


def parsed(text: str) -> Any:
    """The value of a string in the header: JSON, or else the string itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
