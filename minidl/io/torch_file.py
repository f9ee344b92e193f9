"""PyTorch's .pth and .pt files, read without PyTorch and without running what is in them.

Such a file is a pickle of dictionaries in which each tensor is a call: rebuild_tensor(storage, offset, size, stride),
where a storage is a run of numbers that lies elsewhere in the file, under a key. Since PyTorch 1.6 the file is a zip
archive with the pickle in `data.pkl` and each storage in `data/<key>`; before, five pickles came one after the other
and then the storages. Tensors may share a storage. Every size is held against the file before anything is made of it.
"""

import math
import mmap
import zipfile
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minidl.io.checkpoint import MAX_SIZE, CheckpointError, float32
from minidl.io.pickles import ForeignName, PickleError, read_pickle

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."          # a pickle of one large number
LEGACY_PROTOCOL = 1001
BFLOAT16 = "bfloat16"                            # NumPy lacks it
DTYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}


class Storage(NamedTuple):
    """A run of `count` numbers that lies in the file under `key`."""

    key: str
    dtype: str
    count: int

    @property
    def bytes(self):
        """How many bytes it takes in the file."""
        return self.count * (2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize)


class StoredTensor(NamedTuple):
    """Element (i, j, ...) is number offset + i * strides[0] + j * strides[1] + ... of the storage."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


def read_torch_zip(path):
    """What `torch.save` put into a zip archive, with an array, not to be written to, for each tensor.

    A dictionary stays a dictionary of its keys, in their order. Raises CheckpointError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = plain_members(archive, path.stat().st_size)
            pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"a zip archive with {len(pickles)} entries data.pkl; torch.save writes one")
            folder = pickles[0].removesuffix("data.pkl")
            if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
                raise CheckpointError("its numbers have their bytes in the reverse order (big-endian)")
            tree = read_pickle(archive.read(pickles[0]), NAMES, stored)

            def content(storage):
                name = f"{folder}data/{storage.key}"
                if name not in members or members[name].file_size < storage.bytes:
                    raise CheckpointError(f"{name} is missing, or shorter than the {storage.bytes} bytes declared")
                return archive.read(name)
            return filled(tree, Contents(content))
    except Exception as error:
        raise refusal(path, error) from error


def read_torch_legacy(path):
    """The same for a file as PyTorch wrote it before 1.6."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            memory.seek(len(LEGACY_MAGIC))
            protocol, system = read_pickle(memory, {}), read_pickle(memory, {})
            if protocol != LEGACY_PROTOCOL or not system["little_endian"]:
                raise CheckpointError("its numbers are written in a way that is not known here")
            tree = read_pickle(memory, NAMES, stored)
            places = legacy_places(memory, read_pickle(memory, {}), storages(tree))

            def content(storage):
                start = places[storage.key]
                return memory[start:start + storage.bytes]
            return filled(tree, Contents(content))
    except Exception as error:
        raise refusal(path, error) from error


def plain_members(archive, size):
    """{name: entry} of an archive none of whose entries is packed: all of them then fit into the file."""
    entries = archive.infolist()
    if any(entry.file_size != entry.compress_size for entry in entries):
        raise CheckpointError("it is packed, which PyTorch's own files never are")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("its entries are larger than the file")
    return {entry.filename: entry for entry in entries}


def legacy_places(memory, keys, known):
    """{key: where its numbers begin}: after the pickles, each storage is its count as eight bytes, and the numbers."""
    places, place = {}, memory.tell()
    for key in keys:
        if key not in known:
            raise CheckpointError(f"it holds numbers that belong to no tensor (storage {key!r})")
        count = int.from_bytes(memory[place:place + 8], "little")
        place += 8
        if count != known[key].count:
            raise CheckpointError(f"storage {key!r} has {count} numbers, where {known[key].count} were declared")
        if place + known[key].bytes > len(memory):
            raise CheckpointError(f"cut short: storage {key!r} has {known[key].bytes} bytes, of which "
                                  f"{max(0, len(memory) - place)} are there")
        places[key] = place
        place += known[key].bytes
    return places


def stored(identity):
    """The storage of a persistent id: ("storage", its type, key, device, count), and long ago a view's place."""
    kind, dtype, key, _, count, *view = identity
    if kind != "storage" or dtype not in DTYPES.values() or not isinstance(key, str):
        raise PickleError("a damaged pickle (no storage)")
    if any(part is not None for part in view):
        raise PickleError("its storages are parts of others, as PyTorch wrote them before 0.4")
    return Storage(key, dtype, whole("the length of a storage", count))


def rebuild_tensor(storage, offset, size, stride, *_):
    """The tensor, if it keeps within its storage."""
    shape, strides = tuple(whole("a size", n) for n in size), tuple(whole("a stride", n) for n in stride)
    tensor = StoredTensor(storage, whole("an offset", offset), shape, strides)
    if not isinstance(storage, Storage) or len(shape) != len(strides) or len(shape) > 32:
        raise PickleError("a damaged pickle (no tensor)")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.count:
        raise PickleError(f"a tensor of shape {shape} reaches beyond the {storage.count} numbers of its storage")
    # a stride of 0 can make much out of little; and NumPy counts the bytes even of an array that is empty
    if math.prod(n or 1 for n in shape) * 8 > MAX_SIZE:
        raise PickleError(f"a tensor of shape {shape} is larger than is allowed ({MAX_SIZE} bytes)")
    return tensor


def whole(what, number):
    """`number`, if it is a whole one of at least 0."""
    if type(number) is not int or number < 0:
        raise PickleError(f"a damaged pickle ({what} is {number!r:.40}, no whole number of at least 0)")
    return number


def ordered_dict(items=()):
    """An OrderedDict is a dictionary, which keeps its order anyway."""
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
    """The numbers of storages; those that tensors share are read once. `content(storage)` gives the bytes."""

    def __init__(self, content):
        self.content, self.read = content, {}

    def array(self, tensor):
        """The array of a StoredTensor: a view of its storage, so that a stride of 0 costs nothing."""
        numbers = self.numbers(tensor.storage)
        if 0 in tensor.shape:
            return np.empty(tensor.shape, numbers.dtype)
        strides = [step * numbers.itemsize for step in tensor.strides]
        return as_strided(numbers[tensor.offset:], tensor.shape, strides, writeable=False)

    def numbers(self, storage):
        """All numbers of a storage.   (count,)"""
        if storage not in self.read:
            content = self.content(storage)
            if storage.dtype == BFLOAT16:
                self.read[storage] = float32(content[:storage.bytes])
            else:
                self.read[storage] = np.frombuffer(content, storage.dtype, storage.count)
        return self.read[storage]


def filled(tree, contents):
    """The same tree of dictionaries, with an array for each StoredTensor; what lies in lists is left out."""
    made = {}                                    # a dictionary may lie in itself

    def fill(value):
        if isinstance(value, StoredTensor):
            return contents.array(value)
        if not isinstance(value, dict):
            return value
        if id(value) not in made:
            made[id(value)] = copy = {}
            copy.update((key, fill(item)) for key, item in value.items())
        return made[id(value)]
    return fill(tree)


def storages(tree):
    """{key: Storage} of all tensors in a tree of dictionaries, lists and tuples."""
    found, seen, waiting = {}, set(), [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, StoredTensor):
            found.setdefault(value.storage.key, value.storage)
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return found


def refusal(path, error):
    """The error that tells of `path` what went wrong with it."""
    if isinstance(error, ForeignName) and error.name.startswith(FOREIGN_TENSORS):
        reason = f"{error}: tensors that are sparse, quantized, complex and the like are not read here"
    elif isinstance(error, ForeignName):
        reason = (f"{error}. It was saved as a whole program object, which cannot be read safely; where it was made, "
                  "save its weights alone: torch.save(model.state_dict(), path)")
    elif isinstance(error, CheckpointError | PickleError):
        reason = str(error)
    else:
        reason = f"a damaged file of PyTorch ({type(error).__name__}: {error})"
    return CheckpointError(f"{path}: {reason}")
