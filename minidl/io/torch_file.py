"""PyTorch's .pth and .pt files, read without PyTorch and without running what is in them.

Such a file is a pickle of dictionaries, and the storages of the tensors in it (see `torch_tensors.py`). Since PyTorch
1.6 it is a zip archive with the pickle in `data.pkl` and each storage in `data/<key>`. Before, it was five pickles
followed by the storages; in PyTorch 0.1, a tar archive of three files: the storages, the tensors, and the pickle that
refers to tensors by number. Every size is checked against the file before anything is allocated.
"""

import mmap
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minidl.io.checkpoint import CheckpointError, float32, located
from minidl.io.foreign import archive_of
from minidl.io.npz import checked_entries
from minidl.io.pickles import Opaque, PickleError, read_pickle
from minidl.io.torch_tensors import (
    BFLOAT16,
    NAMES,
    Dtype,
    Storage,
    Storages,
    StoredTensor,
    View,
    bounds,
    natural,
    rebuild_tensor,
)

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."          # a pickle of one large integer
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
TAR_PARTS = {"storages", "tensors", "pickle"}

Array = Callable[[StoredTensor], np.ndarray]


@contextmanager
def open_torch_zip(path: Path) -> Iterator[tuple[Any, Array]]:
    """The value that `torch.save` wrote into a zip archive, and a function that reads one of its tensors.

    Dictionaries keep their keys, in order. Raises CheckpointError.
    """
    with refusing(path), zipfile.ZipFile(path) as archive:
        members = {entry.filename: entry for entry in checked_entries(archive, path.stat().st_size)}
        for entry in members.values():
            if not entry.CRC:                    # saved with torch.serialization.set_crc32_options(False)
                del entry.CRC
        pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
        if foreign := archive_of(list(members)):
            raise CheckpointError(foreign)
        if len(pickles) != 1:
            raise CheckpointError(f"a zip archive with {len(pickles)} entries data.pkl; torch.save writes one")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
            raise CheckpointError("its elements are big-endian")

        def content(storage: Storage) -> bytes:
            name = f"{folder}data/{storage.key}"
            if name not in members or members[name].file_size < storage.bytes:
                raise CheckpointError(f"{name} is missing, or shorter than the {storage.bytes} bytes declared")
            return archive.read(name)
        yield read_pickle(archive.read(pickles[0]), NAMES, Storages(), opaque=True), Contents(content).array


def is_legacy(start: bytes) -> bool:
    """Whether a file that begins so was written by PyTorch before 1.6, whatever the pickles' protocol."""
    try:
        return read_pickle(start, {}) == MAGIC_NUMBER
    except PickleError:
        return False


@contextmanager
def open_torch_legacy(path: Path) -> Iterator[tuple[Any, Array]]:
    """The same for a file that PyTorch before 1.6 wrote."""
    with refusing(path), in_memory(path) as memory:
        storages = Storages()
        read_pickle(memory, {})                  # the magic number
        protocol, system = read_pickle(memory, {}), read_pickle(memory, {})
        if protocol != LEGACY_PROTOCOL or not system["little_endian"]:
            raise CheckpointError("its elements are in a format that is not supported")
        tree = read_pickle(memory, NAMES, storages, opaque=True)
        places = legacy_places(memory, read_pickle(memory, {}), storages.known)

        def content(storage: Storage) -> bytes:
            start = places[storage.key]
            return memory[start:start + storage.bytes]
        yield tree, Contents(content).array


def legacy_places(memory: mmap.mmap, keys: Iterable[str], known: dict[str, Storage]) -> dict[str, int]:
    """{key: position of its first element}; after the pickles, each storage is its count (8 bytes) and its elements."""
    places: dict[str, int] = {}
    for key in keys:
        if not isinstance(key, str) or key not in known:
            name = key if isinstance(key, str | int) else type(key).__name__
            raise CheckpointError(f"it holds elements that belong to no tensor (storage {name!r:.40})")
        count = int.from_bytes(memory.read(8), "little")
        if count != known[key].length:
            raise CheckpointError(f"storage {key!r} has {count} elements, but {known[key].length} are declared")
        places[key] = skipped(memory, known[key])
    return places


def skipped(memory: mmap.mmap, storage: Storage) -> int:
    """The position of the elements of `storage`, after which `memory` then is."""
    place = memory.tell()
    if place + storage.bytes > len(memory):
        raise CheckpointError(f"truncated: storage {storage.key!r} has {storage.bytes} bytes, but only "
                              f"{max(0, len(memory) - place)} are left")
    memory.seek(place + storage.bytes)
    return place


@contextmanager
def open_torch_tar(path: Path) -> Iterator[tuple[Any, Array]]:
    """The same for a tar archive of PyTorch 0.1, as torchvision's first files are."""
    with refusing(path), in_memory(path) as memory:
        parts = tar_parts(memory)
        if not set(parts) >= TAR_PARTS:
            names = ", ".join(f"{name:.40}" for name in sorted(parts)[:5])
            raise CheckpointError(f"a tar archive of {names or 'nothing'}; unpack it, and name a file in it")
        views, places = tar_storages(memory, parts["storages"])
        tensors = tar_tensors(memory, parts["tensors"], views)

        def persistent(identity: Any) -> Any:
            if isinstance(identity, tuple):      # a class with its source code
                return identity[0]
            return tensors[int(identity)]

        def content(storage: Storage) -> bytes:
            return memory[places[storage.key]:places[storage.key] + storage.bytes]
        memory.seek(parts["pickle"])
        yield read_pickle(memory, NAMES, persistent, opaque=True), Contents(content).array


def tar_parts(memory: mmap.mmap) -> dict[str, int]:
    """{name: position of its content} of the files in a tar archive."""
    source: Any = memory                         # it reads, seeks and tells, which is all that tar needs
    with tarfile.open(fileobj=source, mode="r:") as archive:
        return {member.name: member.offset_data for member in archive if member.isreg()}


def tar_storages(memory: mmap.mmap, start: int) -> tuple[dict[int, View], dict[str, int]]:
    """{number: View} and {key: position}: a count, then (number, device, type) and elements for each, then views."""
    views: dict[int, View] = {}
    places: dict[str, int] = {}
    memory.seek(start)
    for _ in range(read_pickle(memory, {})):
        number, _, kind = read_pickle(memory, NAMES, opaque=True)
        if not isinstance(kind, Dtype):
            name = kind.name if isinstance(kind, Opaque) else type(kind).__name__
            raise CheckpointError(f"it asks for {name!r}, which is no kind of storage known here")
        (count,) = struct.unpack("<q", memory.read(8))
        storage = Storage(str(natural("a storage", number)), kind.name, natural("the length of a storage", count))
        places[storage.key] = skipped(memory, storage)
        views[number] = View(storage, 0, count)
    for number, root, offset, count in read_pickle(memory, {}):
        whole = views[natural("a storage", root)]
        start, count = bounds(whole.storage, (None, whole.start + natural("an offset", offset), count))
        views[natural("a storage", number)] = View(whole.storage, start, count)
    return views, places


def tar_tensors(memory: mmap.mmap, start: int, views: dict[int, View]) -> dict[int, StoredTensor]:
    """{number: tensor}: a count, then for each (number, storage, type), its axes, sizes, strides and offset."""
    tensors = {}
    memory.seek(start)
    for _ in range(read_pickle(memory, {})):
        number, storage, _ = read_pickle(memory, NAMES, opaque=True)
        (axes, _) = struct.unpack("<ii", memory.read(8))
        if not 0 <= axes <= 32:
            raise CheckpointError(f"a tensor of {axes} axes")
        numbers = struct.unpack(f"<{2 * axes + 1}q", memory.read(16 * axes + 8))
        view = views[natural("a storage", storage)]
        tensors[natural("a tensor", number)] = rebuild_tensor(view, numbers[-1], numbers[:axes], numbers[axes:-1])
    return tensors


class Contents:
    """The elements of storages, each read once even if tensors share it. `content(storage)` gives its bytes."""

    def __init__(self, content: Callable[[Storage], bytes]) -> None:
        self.content = content
        self.read: dict[Storage, np.ndarray] = {}
        self.negated: dict[Storage, np.ndarray] = {}

    def array(self, tensor: StoredTensor) -> np.ndarray:
        """The array of a StoredTensor: a view of its storage, so that a stride of 0 takes no memory."""
        elements = self.negatives(tensor.storage) if tensor.negative else self.elements(tensor.storage)
        if 0 in tensor.shape:
            return np.empty(tensor.shape, elements.dtype)
        strides = [step * elements.itemsize for step in tensor.strides]
        return as_strided(elements[tensor.offset:], tensor.shape, strides, writeable=False)

    def elements(self, storage: Storage) -> np.ndarray:
        """All elements of a storage.   (length,)"""
        if storage not in self.read:
            content = self.content(storage)
            if storage.dtype == BFLOAT16:
                self.read[storage] = float32(content[:storage.bytes])
            else:
                self.read[storage] = np.frombuffer(content, storage.dtype, storage.length)
        return self.read[storage]

    def negatives(self, storage: Storage) -> np.ndarray:
        """Minus all elements of a storage, for tensors whose negative bit is set.   (length,)"""
        if storage not in self.negated:
            self.negated[storage] = -self.elements(storage)
        return self.negated[storage]


@contextmanager
def in_memory(path: Path) -> Iterator[mmap.mmap]:
    """A file as memory, from which no more can be read than it holds."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        yield memory


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Any error becomes a CheckpointError that names the file at `path`."""
    try:
        yield
    except (CheckpointError, PickleError) as error:
        raise located(path, error) from error
    except Exception as error:                   # each part of a damaged file fails in its own way
        raise CheckpointError(f"{path}: a damaged PyTorch file ({type(error).__name__}: {error})") from error
