"""A network made of a graph of ONNX: `from_onnx(model)` gives a Module whose parameters train."""

from __future__ import annotations

import difflib
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

import minidl.nn as nn
from minidl import kernels
from minidl.modes import no_grad
from minidl.onnx.layers import LAYERS, Weights
from minidl.onnx.network import OnnxNetwork, Part, Step
from minidl.onnx.reading import OPERATORS
from minidl.onnx.reading.functions import array
from minidl.onnx.source import Operator, Source, Unsupported, check_room, source_of
from minidl.tensor import Tensor

TRAINED = {                                      # {operator: its inputs whose arrays of floats are trained}
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "Add": (0, 1), "Sub": (0, 1),
    "Mul": (0, 1), "Div": (0, 1), "Sum": range(8), "PRelu": (1,), "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2), "LayerNormalization": (1, 2), "Transpose": (0,),
    "Reshape": (0,), "Unsqueeze": (0,), "Squeeze": (0,), "Concat": range(64), "Identity": (0,),
}
DEEPEST = 16                                     # parts of a dotted name
INSTEAD = {
    "If": "a choice that is the same for every image can be made when the model is exported",
    "Loop": "a loop can be unrolled when the model is exported", "Scan": "a loop can be unrolled",
    "QuantizeLinear": "float32 weights are; export the model before it is quantized",
    "DequantizeLinear": "float32 weights are; export the model before it is quantized",
    "QLinearConv": "Conv is, of float32", "ConvInteger": "Conv is, of float32", "LSTM": "layers of CNNs are",
    "GRU": "layers of CNNs are", "RNN": "layers of CNNs are", "LpPool": "AveragePool and MaxPool are",
    "Hardmax": "ArgMax is", "MaxUnpool": "ConvTranspose and Resize are", "Einsum": "MatMul and Transpose are",
    "ReduceProd": "ReduceSum is", "GatherElements": "Gather is", "GatherND": "Gather is", "Attention": "MatMul is",
}


def from_onnx(model: ModelProto) -> OnnxNetwork:
    """The network in a model, in eval mode; parameters are the weights that its nodes read, and train.

    The batch is free, whatever the file says: a fixed number of images in shapes is replaced. Raises Unsupported,
    which names the operator, its node and the nearest supported form, and ValueError for a damaged file.
    """
    source = batch_free(source_of(model))
    for node in source.operators:
        check_operator(node)
    network = OnnxNetwork()
    network.inputs, network.outputs = tuple(source.inputs), tuple(source.outputs)
    network.takes_pixels = are_pixels(source)
    build(network, source)
    network.eval()
    try_out(network, source)
    return network


def check_operator(node: Operator) -> None:
    """Raise Unsupported unless there is a function for a node's operator."""
    if node.kind not in OPERATORS:
        near = difflib.get_close_matches(node.kind, OPERATORS, 2, 0.5)
        instead = INSTEAD.get(node.kind) or (f"{' and '.join(near)} {'are' if len(near) > 1 else 'is'}" if near else
                                             "the operators that CNNs use are")
        raise Unsupported(f"the operator {node.kind!r:.60} of the node {node.name!r:.60} is not supported; {instead}")


def batch_free(source: Source) -> Source:
    """The same, where a Reshape to a fixed number of images keeps the number it is given."""
    images = {shape[0] for _, shape in source.inputs.values() if shape}
    if len(images) != 1 or None in images:
        return source
    count, arrays = images.pop(), dict(source.arrays)
    constants = {node.outputs[0]: node for node in source.operators if node.kind == "Constant"}
    operators = []
    for node in source.operators:
        if node.kind == "Reshape" and len(node.inputs) == 2 and not node.get("allowzero", 0):
            target = arrays.get(node.inputs[1])
            if target is None and node.inputs[1] in constants:
                target = OPERATORS["Constant"](constants[node.inputs[1]])
            stays = source.shapes.get(node.inputs[0], (None,))[:1] == (count,)
            if target is not None and target.ndim == 1 and target[:1] == count and (stays or min(target) > 0):
                name = f"{node.outputs[0]}/shape"
                arrays[name] = np.array([0 if stays else -1, *target[1:]], np.int64)
                node = node._replace(inputs=(node.inputs[0], name))
        operators.append(node)
    return source._replace(operators=operators, arrays=arrays)


def build(network: OnnxNetwork, source: Source) -> None:
    """Make the layers, fold the constants, and plan the steps."""
    weights = Weights({name: a for name, a in source.arrays.items() if a.dtype.kind == "f"},
                      frozenset(source.arrays), {})
    learned = learned_arrays(source)
    known: dict[str, np.ndarray] = {name: a for name, a in source.arrays.items() if name not in learned}
    steps: list[tuple[Operator, str]] = []
    for node in source.operators:
        make = LAYERS.get(node.kind)
        layer = None if make is None or node.inputs[0] in known else make(node, weights)
        if layer is not None:
            path = place(network, layer_name(node), layer)
            steps.append((node._replace(inputs=node.inputs[:1]), path))
        elif all(not name or name in known for name in node.inputs):
            fold(node, known, weights)
        else:
            steps.append((node, ""))
    read = {name for node, path in steps for name in node.inputs} | set(source.outputs)
    for name in sorted(learned & read):
        network.parameter_paths[name] = place(network, name, weights.parameter(name))
    network.constants = {name: a for name, a in known.items() if name in read}
    network.plan = planned(steps, {*network.outputs})


def learned_arrays(source: Source) -> set[str]:
    """The initializers that are trained: floats with axes, read by an operator of TRAINED and by no other."""
    trained: set[str] = set()
    fixed: set[str] = set()
    for node in source.operators:
        for i, name in enumerate(node.inputs):
            if name in source.arrays:
                (trained if i in TRAINED.get(node.kind, ()) else fixed).add(name)
    return {name for name in trained - fixed if source.arrays[name].dtype.kind == "f" and source.arrays[name].ndim}


def fold(node: Operator, known: dict[str, Any], weights: Weights) -> None:
    """Compute a node of constants alone, now and once. What it makes may be the weight of a layer."""
    with no_grad():
        out = OPERATORS[node.kind](node, *[known[name] if name else None for name in node.inputs])
    for name, value in zip(node.outputs, out if isinstance(out, tuple) else (out,), strict=False):
        known[name] = array(value)
        if known[name].dtype.kind == "f":
            weights.arrays[name] = known[name]


def layer_name(node: Operator) -> str:
    """The dotted name of a layer: that of its weight, or that of its node."""
    weight = node.inputs[1] if len(node.inputs) > 1 and node.kind != "Dropout" else ""
    return weight.removesuffix(".weight") if weight.endswith(".weight") else node.name


def place(network: nn.Module, name: str, thing: Any) -> str:
    """Assign a layer or a Parameter at a dotted name, which is changed where it is taken, and return the name."""
    parts = [part for part in name.replace("/", ".").split(".") if part]
    parts = parts if 0 < len(parts) <= DEEPEST else ["_".join(parts)[:100] or "unnamed"]
    holder, path = network, []
    for part in parts[:-1]:
        if not isinstance(vars(holder).get(part), nn.Module):
            part = free_name(holder, part)
            setattr(holder, part, Part().eval())
        holder = getattr(holder, part)
        path.append(part)
    last = free_name(holder, parts[-1])
    setattr(holder, last, thing)
    return ".".join([*path, last])


def free_name(holder: nn.Module, name: str) -> str:
    """`name`, with underscores behind it while the holder has an attribute of that name."""
    while hasattr(holder, name):
        name += "_"
    return name


def planned(steps: list[tuple[Operator, str]], kept: set[str]) -> list[Step]:
    """The steps that are needed for the outputs, each with the values that are read for the last time."""
    needed, chosen = set(kept), []
    for node, path in reversed(steps):
        if needed.intersection(node.outputs):
            needed.update(filter(None, node.inputs))
            chosen.append((node, path))
    plan, read = [], set(kept)
    for node, path in chosen:                    # from the last to the first
        names = {*filter(None, node.inputs), *filter(None, node.outputs)}
        plan.append(Step(node, path, tuple(sorted(names - read))))
        read |= names
    return plan[::-1]


def are_pixels(source: Source) -> bool:
    """Whether the only input is of images as files have them, uint8 (N, H, W, C), as `export_onnx(uint8=True)` has."""
    kinds = list(source.inputs.values())
    return len(kinds) == 1 and kinds[0][0] == TensorProto.UINT8 and len(kinds[0][1]) == 4 and kinds[0][1][3] in (1, 3)


def try_out(network: OnnxNetwork, source: Source) -> None:
    """Run an empty batch, or else one image of zeros, so that what is not supported is refused now.

    Not for a network of several inputs, or of one whose size is free: the error then comes with the first images.
    """
    if len(source.inputs) != 1:
        return
    (kind, shape), = source.inputs.values()
    if len(shape) < 2 or None in shape[1:] or kind not in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.UINT8):
        return
    with no_grad(), kernels.using("plain"), warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("error")
        network(zeros(kind, (0, *shape[1:])))
        return
    with no_grad():
        network(zeros(kind, (shape[0] or 1, *shape[1:])))


def zeros(kind: int, shape: tuple[Any, ...]) -> Tensor:
    """An input of zeros."""
    check_room("an input", shape)
    return Tensor(np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind)))
