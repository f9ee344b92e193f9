"""Files of ONNX as messages of protobuf: parsed, not yet checked, and weights that are in files beside them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.io.checkpoint import CheckpointError, existing, located, parsed
from minidl.io.imports import needed

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

MAX_SIZE = 1 << 31                               # bytes of a file; a limit of protobuf
MOST = 1 << 20                                   # initializers and nodes


def starts_as_onnx(start: bytes) -> bool:
    """Whether the first bytes of a file are those of ONNX: a small version, then another field of the message."""
    return re.match(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]", start) is not None and not re.search(
        rb"\x12.(Const|Placeholder|VariableV2)", start, re.S)


def read_onnx(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights and the facts in a file of ONNX, for a network that is known.   ->  ({name: array}, {key: value})"""
    needed("onnx", "onnx", "load_weights")
    from minidl.onnx.source import array_of
    path, model = parsed_file(path)
    try:
        arrays = {tensor.name: array_of(tensor, f"the initializer {tensor.name!r:.60}")
                  for tensor in model.graph.initializer}
    except ValueError as error:
        raise located(path, error) from error
    arrays = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    return arrays, {entry.key: parsed(entry.value) for entry in model.metadata_props}


def parsed_file(path: str | Path) -> tuple[Path, ModelProto]:
    """The path of a file that is there, and the model in it, not yet checked."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto
    path = existing(path)
    size = path.stat().st_size
    if size > MAX_SIZE:
        raise CheckpointError(f"{path}: {size:,} bytes are more than a file of ONNX can have ({MAX_SIZE:,})")
    model = ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise CheckpointError(f"{path}: not a file of ONNX, or a damaged one ({error})") from error
    if not model.graph.node and not model.graph.initializer:
        raise CheckpointError(f"{path}: not a file of ONNX; it holds no graph")
    if len(model.graph.node) > MOST or len(model.graph.initializer) > MOST:
        raise CheckpointError(f"{path}: it has more than {MOST:,} nodes or weights, more than any network")
    return path, model


def external_tensors(model: ModelProto) -> list[TensorProto]:
    """The arrays of a model that are in other files."""
    from onnx import TensorProto
    tensors = [*model.graph.initializer, *(attribute.t for node in model.graph.node for attribute in node.attribute
                                           if attribute.HasField("t"))]
    return [tensor for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL]


def bring_in(folder: Path, tensor: TensorProto) -> None:
    """Read an array from another file, in `folder` or below it, into the model."""
    from onnx import TensorProto, helper
    facts = {entry.key: entry.value for entry in tensor.external_data}
    name, home = facts.get("location", ""), folder.resolve()
    where = f"the data of {tensor.name!r:.60} is in {name!r:.100}"
    if not name or "\0" in name or Path(name).is_absolute() or not (folder / name).resolve().is_relative_to(home):
        raise ValueError(f"{where}, which is not in the folder of the model")
    path = (folder / name).resolve()
    if not path.is_file():
        raise ValueError(f"{where}, which is not there, or no file")
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        offset, size = int(facts.get("offset", "0")), math.prod(tensor.dims) * dtype.itemsize
        length = int(facts.get("length", size))
    except (ValueError, KeyError):
        raise ValueError(f"{where}, at a place that is no number, or with elements of an unknown type") from None
    if min((offset, length, *tensor.dims)) < 0 or length != size or offset + length > path.stat().st_size:
        raise ValueError(f"{where}: {length:,} bytes at {offset:,} of {path.stat().st_size:,} are not {size:,} bytes")
    with path.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = TensorProto.DEFAULT
