"""A graph of ONNX that came from outside: checked, with its arrays decoded and its nodes in order.

Nothing that the file states is believed before it is compared with what the file holds: an array has room made for it
only if as many bytes are there. Nodes are sorted without recursion, and a cycle is an error.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from minidl.onnx.graph import attributes_of

OLDEST, NEWEST = 7, onnx.defs.onnx_opset_version()
LARGEST = 1 << 28                                # elements of one array that a graph asks for
SMALL = 1 << 10                                  # elements of a constant that shapes may be computed from
STANDARD = ("", "ai.onnx")
STORED: dict[int, str] = {
    TensorProto.FLOAT: "float_data", TensorProto.DOUBLE: "double_data", TensorProto.INT64: "int64_data",
    TensorProto.UINT64: "uint64_data", TensorProto.UINT32: "uint64_data",            # all others: int32_data
}
NUMBERS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32,
           TensorProto.INT64, TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
           TensorProto.BOOL}


class Unsupported(ValueError):
    """What a graph asks for is not supported; the message names the node and the nearest form that is."""


class Operator(NamedTuple):
    """A node: its operator, attributes, and the names of what it reads ("" is left out) and makes.

    `rank` is the number of axes of its first input, or None if that is unknown.
    """

    kind: str
    name: str
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    rank: int | None

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute, or what stands for it where it is left out."""
        return self.attributes.get(attribute, default)

    def refused(self, what: str, instead: str) -> Unsupported:
        """The error for something in this node that is not supported."""
        return Unsupported(f"{self.kind} {self.name!r}: {what} is not supported; {instead}")


class Source(NamedTuple):
    """A checked graph.

    inputs   {name: (type of elements, shape)} without the initializers; a length that is free is None
    arrays   {name: array} of the initializers
    shapes   {name: shape} of the values whose shapes could be inferred; a length that is unknown is None
    """

    name: str
    opset: int
    operators: list[Operator]
    inputs: dict[str, tuple[int, tuple[int | None, ...]]]
    outputs: list[str]
    arrays: dict[str, np.ndarray]
    shapes: dict[str, tuple[int | None, ...]]
    metadata: dict[str, str]


def source_of(model: ModelProto) -> Source:
    """The Source of a model. Raises ValueError for what is damaged, and Unsupported for what is not supported."""
    opset = opset_of(model)
    graph = model.graph
    if graph.sparse_initializer:
        raise Unsupported("sparse weights are not supported; store them as ordinary ones")
    arrays: dict[str, np.ndarray] = {}
    for tensor in graph.initializer:
        if tensor.name in arrays:
            raise ValueError(f"there are two initializers {tensor.name!r:.60}")
        arrays[tensor.name] = array_of(tensor, f"the initializer {tensor.name!r:.60}")
    inputs = {info.name: typed(info) for info in graph.input if info.name not in arrays}
    outputs = [info.name for info in graph.output]
    if not inputs and not graph.node:
        raise ValueError("the graph is empty")
    nodes = in_order(list(graph.node), {*inputs, *arrays}, outputs)
    for i, node in enumerate(nodes):
        if node.domain not in STANDARD:
            raise Unsupported(f"the operator {node.op_type!r:.60} of the node {name_of(i, node)!r:.60} is of the "
                              f"domain {node.domain!r:.60}; only standard operators are supported")
    shapes = inferred(model, arrays)
    operators = [operator(i, node, opset, shapes) for i, node in enumerate(nodes)]
    return Source(graph.name, opset, operators, inputs, outputs, arrays, shapes,
                  {entry.key: entry.value for entry in model.metadata_props})


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators."""
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    if len(versions) != 1:
        raise ValueError(f"it names {len(versions)} versions of the standard operators, not one")
    if not OLDEST <= versions[0] <= NEWEST:
        raise Unsupported(f"opset {versions[0]} is not supported; convert it to one from {OLDEST} to {NEWEST}, for "
                          "example by onnx.version_converter")
    if model.functions:
        raise Unsupported(f"the function {model.functions[0].name!r:.60} is not supported; inline functions with "
                          "onnx.inliner.inline_local_functions")
    return versions[0]


def array_of(tensor: TensorProto, what: str) -> np.ndarray:
    """The array in a TensorProto. Raises ValueError unless it holds as many elements as its shape says."""
    kind = tensor.data_type
    if tensor.data_location == TensorProto.EXTERNAL:
        raise Unsupported(f"{what} is in another file; load_onnx(path, external_data=True) reads files beside the "
                          "model")
    if kind not in NUMBERS:
        names = {int(number): name for name, number in TensorProto.DataType.items()}
        raise Unsupported(f"{what} has elements of type {names.get(kind, kind)}, which is not supported; convert it to "
                          "float32")
    shape = tuple(tensor.dims)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if any(n < 0 for n in shape):
        raise ValueError(f"{what} has the shape {shape}")
    stored = len(tensor.raw_data) // dtype.itemsize if tensor.HasField("raw_data") else len(
        getattr(tensor, STORED.get(kind, "int32_data")))
    if stored != math.prod(shape):
        raise ValueError(f"{what} has the shape {shape} and {stored} elements; the file is damaged")
    return np.array(numpy_helper.to_array(tensor))           # a copy, which may be written to


def typed(info: ValueInfoProto) -> tuple[int, tuple[int | None, ...]]:
    """The type of elements and the shape of an input of the graph."""
    if not info.type.HasField("tensor_type"):
        raise Unsupported(f"the input {info.name!r:.60} is no tensor; sequences, maps and optional values are not "
                          "supported")
    kind = info.type.tensor_type.elem_type
    if kind not in NUMBERS:
        raise Unsupported(f"the input {info.name!r:.60} has elements of the type number {kind}, which is not "
                          "supported; convert the model to float32")
    return kind, shape_of(info)


def shape_of(info: ValueInfoProto) -> tuple[int | None, ...]:
    """The shape that a file states for a value."""
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
                 for d in info.type.tensor_type.shape.dim)


def in_order(nodes: list[NodeProto], given: Iterable[str], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes, each after those that it reads. Raises ValueError for a cycle, and for a value that nobody makes."""
    maker: dict[str, int] = {}
    known = set(given)
    for i, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in maker or name in known:
                raise ValueError(f"two nodes make the value {name!r:.60}")
            maker[name] = i
    waits = [len({maker[name] for name in node.input if name in maker}) for node in nodes]
    readers: list[set[int]] = [set() for _ in nodes]
    for i, node in enumerate(nodes):
        for name in filter(None, node.input):
            if name in maker:
                readers[maker[name]].add(i)
            elif name not in known:
                raise ValueError(f"the node {node.name or node.op_type!r:.60} reads {name!r:.60}, which nothing makes")
    for name in outputs:
        if name not in maker and name not in known:
            raise ValueError(f"nothing makes the output {name!r:.60}")
    ready, order = deque(i for i, n in enumerate(waits) if n == 0), []
    while ready:
        i = ready.popleft()
        order.append(i)
        for reader in sorted(readers[i]):
            waits[reader] -= 1
            if waits[reader] == 0:
                ready.append(reader)
    if len(order) < len(nodes):
        stuck = next(node for node, n in zip(nodes, waits, strict=True) if n > 0)
        raise ValueError(f"the node {stuck.name or stuck.op_type!r:.60} is in a cycle, or reads from one")
    return [nodes[i] for i in order]


def inferred(model: ModelProto, arrays: dict[str, np.ndarray]) -> dict[str, tuple[int | None, ...]]:
    """The shapes that the package `onnx` infers, of a copy without large arrays. Raises ValueError for a huge one."""
    bare = ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.graph.name = "graph"
    bare.graph.node.extend(model.graph.node)
    bare.graph.output.extend(model.graph.output)
    bare.graph.input.extend(info for info in model.graph.input if info.name not in arrays)
    for name, array in arrays.items():
        if array.size <= SMALL:
            bare.graph.initializer.append(numpy_helper.from_array(array, name))
        else:
            bare.graph.input.append(helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape))
    try:
        graph = onnx.shape_inference.infer_shapes(bare).graph      # data_prop=True would count a Range out
    except Exception as error:                   # of several kinds
        raise ValueError(f"its shapes cannot be inferred ({error!s:.300})") from error
    shapes = {info.name: shape_of(info) for info in (*graph.input, *graph.value_info, *graph.output)
              if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape")}
    for name, shape in shapes.items():
        check_room(f"the value {name!r:.60}", shape)
    return {**shapes, **{name: array.shape for name, array in arrays.items()}}


def check_room(what: str, shape: Iterable[int | None]) -> None:
    """Raise ValueError if an array of this shape would be larger than any network needs."""
    size = math.prod(max(1, n) for n in shape if n is not None)          # also of an empty batch
    if size > LARGEST:
        raise ValueError(f"{what} has {size:,} elements, more than the {LARGEST:,} that one array may have")


def name_of(i: int, node: NodeProto) -> str:
    """The name of a node; one without gets its operator's and its number."""
    return node.name or f"{node.op_type.lower()}_{i}"


def operator(i: int, node: NodeProto, opset: int, shapes: dict[str, tuple[int | None, ...]]) -> Operator:
    """The Operator of a node."""
    rank = len(shapes[node.input[0]]) if node.input and node.input[0] in shapes else None
    return Operator(node.op_type, name_of(i, node), attributes_of(node), tuple(node.input), tuple(node.output), opset,
                    rank)
