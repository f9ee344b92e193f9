"""Files in both formats of `torch.save`, written by hand from the description of the formats."""

import io
import pickle
import struct
import tarfile
import zipfile

from minidl.io.torch_file import LEGACY_MAGIC

TYPES = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int", "int16": "Short",
         "int8": "Char", "uint8": "Byte", "bool": "Bool"}


class Name:
    """A name of another module in a pickle: 'torch FloatStorage'."""

    def __init__(self, text):
        self.text = text


class Stored:
    """A tensor in a storage of `count` elements of type `kind` under `key`; offset, shape, strides as in torch."""

    def __init__(self, key, kind, count, offset, shape, strides, function="torch._utils _rebuild_tensor_v2"):
        self.identity = ("storage", Name(f"torch {kind}Storage"), key, "cpu", count)
        self.arguments = (offset, tuple(shape), tuple(strides))
        self.function = function


def of_array(array, key):
    """The Stored of a complete array in its own memory order, and its bytes."""
    strides = [step // array.itemsize for step in array.strides]
    kind = TYPES[array.dtype.name]
    return Stored(key, kind, array.size, 0, array.shape, strides), array.tobytes(order="A")


def pickled(value):
    """The pickle of a tree, protocol 2, with GLOBAL, REDUCE and BINPERSID written out."""
    return b"\x80\x02" + encoded(value) + b"."


def encoded(value):
    """The instructions that leave `value` on the stack."""
    if isinstance(value, Name):
        module, name = value.text.split(" ")
        return b"c" + module.encode() + b"\n" + name.encode() + b"\n"
    if isinstance(value, Stored):
        offset, shape, strides = value.arguments
        storage = encoded(value.identity) + b"Q"
        more = encoded(False) + encoded(Name("collections OrderedDict")) + b")R"
        return (encoded(Name(value.function)) + b"(" + storage + encoded(offset) + encoded(shape) + encoded(strides)
                + more + b"tR")
    if isinstance(value, dict):
        return b"}(" + b"".join(encoded(key) + encoded(item) for key, item in value.items()) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(encoded, value)) + b"t"
    return pickle.dumps(value, 2)[2:-1]


def write_zip(path, tree, storages, folder="archive", compression=zipfile.ZIP_STORED, more=()):
    """Write `tree`, which contains Stored objects, and the storages {key: bytes}, as a zip archive."""
    content = tree if isinstance(tree, bytes) else pickled(tree)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", content)
        for key, elements in storages.items():
            archive.writestr(f"{folder}/data/{key}", elements)
        for name, text in dict(more).items():
            archive.writestr(f"{folder}/{name}", text)
        archive.writestr(f"{folder}/version", "3\n")


def write_legacy(path, tree, storages, counts, little_endian=True, protocol=1001, pickle_protocol=2):
    """The same in the old format; `counts` has the number of elements by key."""
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"int": 4}}
    magic = pickle.dumps(pickle.loads(LEGACY_MAGIC), pickle_protocol)
    parts = [magic, pickle.dumps(protocol, pickle_protocol), pickle.dumps(system, pickle_protocol),
             tree if isinstance(tree, bytes) else pickled(tree), pickle.dumps(list(storages), 2)]
    for key, elements in storages.items():
        parts += [struct.pack("<q", counts[key]), elements]
    path.write_bytes(b"".join(parts))


def write_tar(path, arrays, views=(), storage=None, shape=None):
    """{name: array} as PyTorch 0.1 wrote it: tensors and storages are numbered, and the pickle has the numbers."""
    storages, tensors, tree = pickled(len(arrays)), pickled(len(arrays)), b"\x80\x02}"
    for i, (name, array) in enumerate(arrays.items()):
        kind, sizes = TYPES[array.dtype.name], shape or array.shape
        strides = [step // array.itemsize for step in array.strides]
        storages += pickled((100 + i, "cpu", Name(f"torch {kind}Storage")))
        storages += struct.pack("<q", array.size) + array.tobytes()
        tensors += pickled((200 + i, storage or 100 + i, Name(f"torch {kind}Tensor")))
        tensors += struct.pack(f"<q{2 * len(sizes)}qq", len(sizes), *sizes, *strides, 0)
        tree += encoded(name) + encoded(str(200 + i)) + b"Qs"
    parts = {"sys_info": b"", "pickle": tree + b".", "tensors": tensors, "storages": storages + pickled(list(views))}
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, content in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
