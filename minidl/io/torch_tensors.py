"""What the names in PyTorch's pickles stand for: storages, tensors, and the functions that rebuild tensors.

A tensor is a call rebuild_tensor(storage, offset, size, stride, ...), where a storage is a sequence of elements that is
kept elsewhere in the file under a key. Nothing is read here, only checked and recorded. What is not a plain tensor
of numbers (quantized, sparse, complex, on the meta device) becomes an Opaque.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minidl.io.checkpoint import MAX_SIZE
from minidl.io.checks import is_whole
from minidl.io.pickles import Opaque, PickleError, dictionary

BFLOAT16 = "bfloat16"                            # NumPy lacks it
DTYPES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": BFLOAT16, "Long": "<i8", "Int": "<i4", "Short": "<i2",
    "Char": "i1", "Byte": "u1", "Bool": "?",
}
UNTYPED = {"torch uint16": "<u2", "torch uint32": "<u4", "torch uint64": "<u8"}      # their storages are bytes
FOREIGN = {                                      # storages whose elements are not numbers of NumPy: bytes per element
    "torch.QInt8Storage": 1, "torch.QUInt8Storage": 1, "torch.QInt32Storage": 4, "torch.QUInt4x2Storage": 1,
    "torch.QUInt2x4Storage": 1, "torch.ComplexHalfStorage": 4, "torch.ComplexFloatStorage": 8,
    "torch.ComplexDoubleStorage": 16,
}


class Storage(NamedTuple):
    """A sequence of `length` elements, stored in the file under `key`."""

    key: str
    dtype: str
    length: int

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return self.length * (2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize)


class View(NamedTuple):
    """`length` elements of a storage, from `start` on: all of them, except in files of PyTorch before 0.4."""

    storage: Storage
    start: int
    length: int


class StoredTensor(NamedTuple):
    """Element (i, j, ...) is element offset + i * strides[0] + j * strides[1] + ... of the storage, or minus that."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    negative: bool = False


class Dtype(NamedTuple):
    """A data type named in a pickle: of a storage, or of the tensor that untyped storages are for."""

    name: str


class Storages:
    """The storages of a file by key, recorded as their persistent ids are met; `storages(id)` is a View or Opaque."""

    def __init__(self) -> None:
        self.known: dict[str, Storage] = {}

    def __call__(self, identity: Any) -> Any:
        """("storage", type, key, device, count), and in old files a view of it; or ("module", class, file, source)."""
        if not isinstance(identity, tuple) or not identity:
            raise PickleError("a damaged pickle (no storage)")
        if identity[0] == "module" and len(identity) == 4 and isinstance(identity[1], Opaque):
            return identity[1]
        kind, dtype, key, _, count, *view = identity
        foreign = isinstance(dtype, Opaque) and dtype.name in FOREIGN
        if isinstance(dtype, Opaque) and not foreign:
            raise PickleError(f"it asks for {dtype.name!r}, which is no kind of storage known here")
        if kind != "storage" or not (foreign or isinstance(dtype, Dtype)) or not isinstance(key, str):
            raise PickleError("a damaged pickle (no storage)")
        name = f"V{FOREIGN[dtype.name]}" if foreign else dtype.name
        storage = Storage(key, name, natural("the length of a storage", count))
        self.known.setdefault(key, storage)
        if foreign:
            return Opaque(dtype.name)
        return View(storage, *bounds(storage, view[0]) if view and view[0] is not None else (0, storage.length))


def bounds(storage: Storage, view: Any) -> tuple[int, int]:
    """The start and the count of a view (key, offset, count). Raises PickleError if it leaves the storage."""
    _, offset, count = view
    start, length = natural("an offset", offset), natural("the length of a view", count)
    if start + length > storage.length:
        raise PickleError(f"a view reaches beyond the {storage.length} elements of its storage")
    return start, length


def rebuild_tensor(storage: Any, offset: int, size: Iterable[int], stride: Iterable[int]) -> Any:
    """The tensor. Raises PickleError if it does not lie within its storage."""
    if isinstance(storage, Opaque):
        return storage
    if not isinstance(storage, View):
        raise PickleError("a damaged pickle (no tensor)")
    shape, strides = tuple(natural("a size", n) for n in size), tuple(natural("a stride", n) for n in stride)
    first = natural("an offset", offset)
    if len(shape) != len(strides) or len(shape) > 32:
        raise PickleError("a damaged pickle (no tensor)")
    last = first + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.length:
        raise PickleError(f"a tensor of shape {shape} reaches beyond the {storage.length} elements of its storage")
    # a stride of 0 repeats elements without limit, and NumPy computes the size in bytes even of an empty array
    if math.prod(n or 1 for n in shape) * 8 > MAX_SIZE:
        raise PickleError(f"a tensor of shape {shape} is larger than the {MAX_SIZE} bytes allowed")
    return StoredTensor(storage.storage, storage.start + first, shape, strides)


def rebuild_tensor_v2(storage: Any, offset: int, size: Any, stride: Any, requires_grad: Any = False,
                      hooks: Any = None, metadata: Any = None) -> Any:
    """The tensor; `metadata` holds its negative bit. Of the rest, nothing changes the elements."""
    if not isinstance(requires_grad, bool) or not isinstance(hooks, dict | Opaque | None):
        raise PickleError("a damaged pickle (no tensor)")
    return with_metadata(rebuild_tensor(storage, offset, size, stride), metadata)


def rebuild_tensor_v3(storage: Any, offset: int, size: Any, stride: Any, requires_grad: Any, hooks: Any,
                      dtype: Any, metadata: Any = None) -> Any:
    """A tensor of a type that came after storages lost theirs: the bytes of `storage` are elements of `dtype`."""
    if isinstance(storage, Opaque) or isinstance(dtype, Opaque):
        return storage if isinstance(storage, Opaque) else dtype
    if not isinstance(storage, View) or not isinstance(dtype, Dtype) or storage.storage.dtype != "u1":
        raise PickleError("a damaged pickle (no tensor)")
    count = storage.length // np.dtype(dtype.name).itemsize
    typed = View(storage.storage._replace(dtype=dtype.name, length=count), 0, count)
    return rebuild_tensor_v2(typed, offset, size, stride, requires_grad, hooks, metadata)


def with_metadata(tensor: Any, metadata: Any) -> Any:
    """The tensor with its bits: "neg" changes the signs, "conj" says nothing of real numbers."""
    if metadata is None or isinstance(tensor, Opaque):
        return tensor
    known = isinstance(metadata, dict) and set(metadata) <= {"neg", "conj"}
    if not known or not all(isinstance(bit, bool) for bit in metadata.values()):
        raise PickleError(f"a tensor of shape {tensor.shape} has metadata that are unknown here")
    return tensor._replace(negative=metadata.get("neg", False))


def rebuild_parameter(data: Any, requires_grad: Any, hooks: Any, state: Any = None) -> Any:
    """The tensor of a parameter; `state` holds its attributes, which are no elements."""
    return tensor_of(data)


def rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """The tensor of a subclass of Tensor, or of a tensor with attributes."""
    if isinstance(function, Opaque):
        return Opaque(function.name)
    if function not in (rebuild_tensor_v2, rebuild_tensor_v3, rebuild_parameter):
        raise PickleError("a damaged pickle (no tensor)")
    return function(*arguments)


class Built:
    """A tensor that was saved as an object: made empty, or of another tensor, and then given its state."""

    def __init__(self, tensor: Any = None, *_: Any) -> None:
        self.tensor = tensor_of(tensor)

    def build(self, state: Any) -> None:
        """(storage, offset, size, stride); (tensor, ...) of a Variable; or attributes, which are no elements."""
        if isinstance(state, tuple) and len(state) == 4:
            self.tensor = rebuild_tensor(*state)
        elif isinstance(state, tuple) and len(state) == 5:
            self.tensor = tensor_of(state[0])


def tensor_of(value: Any) -> Any:
    """The StoredTensor of an object, or the value itself."""
    return value.tensor if isinstance(value, Built) else value


def reconstruct(kind: Any, *arguments: Any) -> Any:
    """An object of an old protocol, without its state; `kind` is Built, or unknown."""
    return Built() if kind is Built else Opaque(kind.name if isinstance(kind, Opaque) else "builtins.object")


def natural(what: str, value: Any) -> int:
    """`value`. Raises PickleError unless it is a whole number of at least 0."""
    if not is_whole(value):
        # text of a nested list could take for ever
        text = repr(value)[:40] if isinstance(value, int | float | str) else type(value).__name__
        raise PickleError(f"a damaged pickle ({what} is {text}, not a whole number of at least 0)")
    return value


def ordered_dict(items: Any = ()) -> Any:
    """An OrderedDict becomes a dictionary, which keeps its order too."""
    if isinstance(items, Opaque):
        return Opaque(items.name)
    pairs = items.items() if isinstance(items, dict) else items
    return dictionary([part for key, value in pairs for part in (key, value)])


def default_dict(*arguments: Any) -> dict:
    """A defaultdict becomes an empty dictionary; its items follow."""
    return {}


def size(items: Any = ()) -> tuple:
    """A torch.Size."""
    return tuple(items)


CLASSES = ("torch Tensor", "torch._tensor Tensor", "torch.tensor Tensor", "torch.autograd.variable Variable",
           "torch.nn.parameter Parameter", "torch.nn.parameter Buffer",
           *(f"{module} {kind}Tensor" for module in ("torch", "torch.cuda") for kind in DTYPES))
NAMES = {
    "collections OrderedDict": ordered_dict,
    "collections defaultdict": default_dict,
    "torch._utils _rebuild_tensor": rebuild_tensor_v2,
    "torch._utils _rebuild_tensor_v2": rebuild_tensor_v2,
    "torch._utils _rebuild_tensor_v3": rebuild_tensor_v3,
    "torch._utils _rebuild_parameter": rebuild_parameter,
    "torch._utils _rebuild_parameter_with_state": rebuild_parameter,
    "torch._tensor _rebuild_from_type": rebuild_from_type,
    "torch._tensor _rebuild_from_type_v2": rebuild_from_type,
    "torch.tensor _rebuild_from_type": rebuild_from_type,
    "copyreg _reconstructor": reconstruct,
    "copy_reg _reconstructor": reconstruct,
    "copyreg __newobj__": reconstruct,
    "torch Size": size,
    "torch.storage UntypedStorage": Dtype("u1"),
    **{f"{module} {name}Storage": Dtype(dtype) for module in ("torch", "torch.cuda") for name, dtype in DTYPES.items()},
    **{name: Dtype(dtype) for name, dtype in UNTYPED.items()},
    **dict.fromkeys(CLASSES, Built),
}
