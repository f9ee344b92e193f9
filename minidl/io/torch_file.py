"""PyTorch's .pth and .pt files, read without PyTorch and without running what is in them.

Such a file is a pickle of dictionaries in which each tensor is a call: rebuild_tensor(storage, offset, size, stride),
where a storage is a sequence of elements stored elsewhere in the file under a key. Since PyTorch 1.6 the file is a zip
archive with the pickle in `data.pkl` and each storage in `data/<key>`; before, it was five pickles followed by the
storages. Tensors may share a storage. Every size is checked against the file before anything is allocated.
"""

import math
import mmap
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minidl.io.checkpoint import MAX_SIZE, CheckpointError, float32
from minidl.io.checks import is_whole
from minidl.io.pickles import ForeignName, PickleError, read_pickle

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."          # a pickle of one large integer
LEGACY_PROTOCOL = 1001
BFLOAT16 = "bfloat16"                            # NumPy lacks it
DTYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}


class Storage(NamedTuple):
    """A sequence of `count` elements, stored in the file under `key`."""

    key: str
    dtype: str
    count: int

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return self.count * (2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize)


class StoredTensor(NamedTuple):
    """Element (i, j, ...) is element offset + i * strides[0] + j * strides[1] + ... of the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_zip(path: Path) -> Any:
    """The value that `torch.save` wrote into a zip archive, with a read-only array for each tensor.

    Dictionaries keep their keys, in order. Raises CheckpointError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = plain_members(archive, path.stat().st_size)
            pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"a zip archive with {len(pickles)} entries data.pkl; torch.save writes one")
            folder = pickles[0].removesuffix("data.pkl")
            if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
                raise CheckpointError("its elements are big-endian")
            tree = read_pickle(archive.read(pickles[0]), NAMES, stored)

            def content(storage: Storage) -> bytes:
                name = f"{folder}data/{storage.key}"
                if name not in members or members[name].file_size < storage.bytes:
                    raise CheckpointError(f"{name} is missing, or shorter than the {storage.bytes} bytes declared")
                return archive.read(name)
            return filled(tree, Contents(content))
    except Exception as error:
        raise refusal(path, error) from error


def read_torch_legacy(path: Path) -> Any:
    """The same for a file that PyTorch before 1.6 wrote."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            memory.seek(len(LEGACY_MAGIC))
            protocol, system = read_pickle(memory, {}), read_pickle(memory, {})
            if protocol != LEGACY_PROTOCOL or not system["little_endian"]:
                raise CheckpointError("its elements are in a format that is not supported")
            tree = read_pickle(memory, NAMES, stored)
            places = legacy_places(memory, read_pickle(memory, {}), storages(tree))

            def content(storage: Storage) -> bytes:
                start = places[storage.key]
                return memory[start:start + storage.bytes]
            return filled(tree, Contents(content))
    except Exception as error:
        raise refusal(path, error) from error


def plain_members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """{name: entry} of an archive whose entries are not compressed and together fit into its `size`."""
    entries = archive.infolist()
    if any(entry.file_size != entry.compress_size for entry in entries):
        raise CheckpointError("it is compressed, which PyTorch's own files never are")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("its entries are larger than the file")
    return {entry.filename: entry for entry in entries}


def legacy_places(memory: mmap.mmap, keys: Iterable[str], known: dict[str, Storage]) -> dict[str, int]:
    """{key: position of its first element}; after the pickles, each storage is its count (8 bytes) and its elements."""
    places, place = {}, memory.tell()
    for key in keys:
        if key not in known:
            raise CheckpointError(f"it holds elements that belong to no tensor (storage {key!r})")
        count = int.from_bytes(memory[place:place + 8], "little")
        place += 8
        if count != known[key].count:
            raise CheckpointError(f"storage {key!r} has {count} elements, but {known[key].count} are declared")
        if place + known[key].bytes > len(memory):
            raise CheckpointError(f"truncated: storage {key!r} has {known[key].bytes} bytes, but only "
                                  f"{max(0, len(memory) - place)} are left")
        places[key] = place
        place += known[key].bytes
    return places


def stored(identity: tuple) -> Storage:
    """The storage of a persistent id: ("storage", type, key, device, count), and in very old files a view."""
    kind, dtype, key, _, count, *view = identity
    if kind != "storage" or dtype not in DTYPES.values() or not isinstance(key, str):
        raise PickleError("a damaged pickle (no storage)")
    if any(part is not None for part in view):
        raise PickleError("its storages are views of other storages, as in PyTorch before 0.4")
    return Storage(key, dtype, natural("the length of a storage", count))


def rebuild_tensor(storage: Storage, offset: int, size: Iterable[int], stride: Iterable[int], *_: Any) -> StoredTensor:
    """The tensor. Raises PickleError if it does not lie within its storage."""
    shape, strides = tuple(natural("a size", n) for n in size), tuple(natural("a stride", n) for n in stride)
    tensor = StoredTensor(storage, natural("an offset", offset), shape, strides)
    if not isinstance(storage, Storage) or len(shape) != len(strides) or len(shape) > 32:
        raise PickleError("a damaged pickle (no tensor)")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.count:
        raise PickleError(f"a tensor of shape {shape} reaches beyond the {storage.count} elements of its storage")
    # a stride of 0 repeats elements without limit, and NumPy computes the size in bytes even of an empty array
    if math.prod(n or 1 for n in shape) * 8 > MAX_SIZE:
        raise PickleError(f"a tensor of shape {shape} is larger than the {MAX_SIZE} bytes allowed")
    return tensor


def natural(what: str, value: Any) -> int:
    """`value`. Raises PickleError unless it is a whole number of at least 0."""
    if not is_whole(value):
        raise PickleError(f"a damaged pickle ({what} is {value!r:.40}, not a whole number of at least 0)")
    return value


def ordered_dict(items: Iterable = ()) -> dict:
    """An OrderedDict becomes a dictionary, which keeps its order too."""
    return dict(items)


NAMES = {
    "collections OrderedDict": ordered_dict,
    "torch._utils _rebuild_tensor": rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": rebuild_tensor,
    "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
    "torch Size": tuple,
    **{f"torch {name}": dtype for name, dtype in DTYPES.items()},
}

FOREIGN_TENSORS = ("torch._utils._rebuild_", *(f"torch.{kind}" for kind in ("Q", "Complex", "Untyped", "storage.")))


class Contents:
    """The elements of storages, each read once even if tensors share it. `content(storage)` gives its bytes."""

    def __init__(self, content: Callable[[Storage], bytes]) -> None:
        self.content = content
        self.read: dict[Storage, np.ndarray] = {}

    def array(self, tensor: StoredTensor) -> np.ndarray:
        """The array of a StoredTensor: a view of its storage, so that a stride of 0 takes no memory."""
        elements = self.elements(tensor.storage)
        if 0 in tensor.shape:
            return np.empty(tensor.shape, elements.dtype)
        strides = [step * elements.itemsize for step in tensor.strides]
        return as_strided(elements[tensor.offset:], tensor.shape, strides, writeable=False)

    def elements(self, storage: Storage) -> np.ndarray:
        """All elements of a storage.   (count,)"""
        if storage not in self.read:
            content = self.content(storage)
            if storage.dtype == BFLOAT16:
                self.read[storage] = float32(content[:storage.bytes])
            else:
                self.read[storage] = np.frombuffer(content, storage.dtype, storage.count)
        return self.read[storage]


def filled(tree: Any, contents: Contents) -> Any:
    """The same tree of dictionaries, with an array for each StoredTensor except those in lists."""
    made: dict[int, dict] = {}                   # a dictionary may contain itself

    def fill(value: Any) -> Any:
        if isinstance(value, StoredTensor):
            return contents.array(value)
        if not isinstance(value, dict):
            return value
        if id(value) not in made:
            copy: dict[Any, Any] = {}
            made[id(value)] = copy
            copy.update((key, fill(item)) for key, item in value.items())
        return made[id(value)]
    return fill(tree)


def storages(tree: Any) -> dict[str, Storage]:
    """{key: Storage} of all tensors in a tree of dictionaries, lists and tuples."""
    found: dict[str, Storage] = {}
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, StoredTensor):
            found.setdefault(value.storage.key, value.storage)
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return found


def refusal(path: Path, error: Exception) -> CheckpointError:
    """A CheckpointError that says what is wrong with the file at `path`."""
    if isinstance(error, ForeignName) and error.name.startswith(FOREIGN_TENSORS):
        reason = f"{error}: sparse, quantized and complex tensors are not supported"
    elif isinstance(error, ForeignName):
        reason = (f"{error}. A complete Python object was saved, which cannot be read safely; "
                  "save the weights alone in PyTorch: torch.save(model.state_dict(), path)")
    elif isinstance(error, CheckpointError | PickleError):
        reason = str(error)
    else:
        reason = f"a damaged PyTorch file ({type(error).__name__}: {error})"
    return CheckpointError(f"{path}: {reason}")
