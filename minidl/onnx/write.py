"""A model written as a graph of ONNX: `to_onnx(model, (3, 224, 224))`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from minidl.nn import Module
from minidl.onnx.fold import fold_batch_norms
from minidl.onnx.graph import Graph
from minidl.onnx.trace import Batch, Trace, Value, trace
from minidl.onnx.writing import WRITERS
from minidl.scalars import plain, whole
from minidl.version import __version__

OLDEST, NEWEST = 17, onnx.defs.onnx_opset_version()
LARGEST = 2**31 - 1                              # bytes of a file; a limit of protobuf
BATCH = "N"                                      # the name of the number of images


def to_onnx(model: Module, input: Iterable[int], opset: int | None = None, fold: bool = False, uint8: bool = False,
            facts: dict[str, Any] | None = None) -> ModelProto:
    """The graph of what `model` computes in eval mode for images (N, C, H, W), with N free.

    input   (C, H, W)
    opset   the version of the operators, from 17, the default, to the newest that the package `onnx` knows
    fold    whether to fold batch norms into the convolutions before them
    uint8   whether the graph takes pixels as files have them, uint8 (N, H, W, C), and normalizes them by mean and std
    facts   what the metadata hold; `mean` and `std` of each channel are those that `uint8` uses
    Raises ValueError, which names the layer and the operation, for a model that cannot be written.
    """
    shape = tuple(plain(tuple(input)))
    opset = OLDEST if opset is None else whole("to_onnx", "opset", opset)
    if not OLDEST <= opset <= NEWEST:
        raise ValueError(f"opset {opset} cannot be written; give one from {OLDEST} to {NEWEST}, the newest that onnx "
                         f"{onnx.__version__} knows")
    facts = {**getattr(model, "about", {}), **(facts or {}), "input": list(shape)}
    found = trace(model, shape)
    g = Graph(opset, {name: tensor.data for name, tensor in model.named_state()})
    names: dict[Value, str] = {}
    g.begin("input")
    g.taken.add("input")
    names[found.input] = pixels(g, found.input, facts) if uint8 else "input"
    for step in found.steps:
        write(g, step, names)
    outputs = []
    for name, value in found.outputs.items():                # one value may be several outputs
        names[value] = output(g, name, names[value])
        outputs.append(names[value])
    if fold:
        fold_batch_norms(g)
    return built(g, model, found, outputs, uint8, facts)


def write(g: Graph, step: Any, names: dict[Value, str]) -> None:
    """Write the nodes of one step."""
    writer = WRITERS.get(step.operation)
    if writer is None:
        raise ValueError(f"{step.name}: {step.operation} cannot be exported; there is no operator of ONNX that it "
                         "would become")
    g.begin(step.name)
    promoted = step.operation in ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "where", "cat", "matmul")

    def name(i: int, value: Any) -> str | None:
        if isinstance(value, Value):
            if promoted and value.dtype != step.out.dtype:
                to = helper.np_dtype_to_tensor_dtype(np.dtype(step.out.dtype))
                return g.add("Cast", names[value], part="cast", to=to)
            return names[value]
        if value is None:
            return None
        if not hasattr(value, "dtype"):
            return g.scalar(value, step.out.dtype, "number")
        if promoted and value.dtype != step.out.dtype and value.dtype.kind != "b":
            value = value.astype(step.out.dtype)
        return g.array(value, "array")
    try:
        names[step.out] = writer(g, step, *[name(i, value) for i, value in enumerate(step.inputs)])
    except ValueError as error:
        raise ValueError(f"{step.name}: {step.operation}: {error}") from None


def pixels(g: Graph, images: Value, facts: dict[str, Any]) -> str:
    """Nodes that make images of pixels: (pixels / 255 - mean) / std, with the channels first."""
    channels = images.shape[1]
    mean, std = (np.broadcast_to(np.asarray(facts.get(key) or usual, images.dtype), channels)
                 for key, usual in (("mean", 0.0), ("std", 1.0)))
    x = g.add("Cast", "input", part="float", to=helper.np_dtype_to_tensor_dtype(np.dtype(images.dtype)))
    x = g.add("Div", x, g.scalar(255, images.dtype, "white"), part="fraction")
    x = g.add("Sub", x, g.array(mean, "mean"), part="centred")
    x = g.add("Div", x, g.array(std, "std"), part="normalized")
    return g.add("Transpose", x, part="channels_first", perm=[0, 3, 1, 2])


def output(g: Graph, name: str, value: str) -> str:
    """Let a value be an output of the graph by this name."""
    made = {node.output[0] for node in g.nodes if node.op_type != "Constant"} - set(g.outputs)
    g.begin(g.unique(name))
    if value not in made:
        value = g.add("Identity", value, part="copy")
    g.rename(value, g.name)
    g.outputs.append(g.name)
    return g.name


def built(g: Graph, model: Module, found: Trace, outputs: list[str], uint8: bool, facts: dict[str, Any]) -> ModelProto:
    """The model: the graph, its inputs and outputs, and the metadata."""
    size = sum(array.nbytes for array in g.initializers.values())
    if size > LARGEST:
        raise ValueError(f"the weights have {size:,} bytes; a file of ONNX has at most {LARGEST:,}")
    shape = found.input.shape
    shape, kind = ((Batch(), *shape[2:], shape[1]), TensorProto.UINT8) if uint8 else (shape, element(found.input.dtype))
    info = [helper.make_tensor_value_info("input", kind, dims(shape))]
    results = [helper.make_tensor_value_info(name, element(value.dtype), dims(value.shape))
               for name, value in zip(outputs, found.outputs.values(), strict=True)]
    graph = helper.make_graph(g.nodes, type(model).__name__, info, results, g.tensors())
    opsets = [helper.make_opsetid("", g.opset)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets),
                              producer_name="minidl", producer_version=__version__)
    helper.set_model_props(proto, {key: value if isinstance(value, str) else json.dumps(value)
                                   for key, value in facts.items()})
    return proto


def element(dtype: Any) -> int:
    """ONNX's number for a type of elements."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def dims(shape: tuple[Any, ...]) -> list[Any]:
    """A shape with names for the lengths that depend on the number of images."""
    return [n if isinstance(n, int) else BATCH if n.times == 1 else f"{n.times}*{BATCH}" for n in shape]
