"""The nodes of a graph that become layers of `minidl.nn`, with weights under the names that the file gives them.

A layer is named as its weight, without ".weight"; so a network that PyTorch or `export_onnx` wrote has the names of its
state dictionary. What a layer of `minidl.nn` cannot do stays a function of parameters: see `reading/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minidl.nn as nn
from minidl.nn.layers import outputs_last
from minidl.onnx.reading.images import is_even, pair
from minidl.onnx.source import Operator


class Weights(NamedTuple):
    """What layers are made of: arrays, the names of those that the file has as weights, and Parameters made of them.

    made   by (name, form)
    """

    arrays: dict[str, np.ndarray]
    stored: frozenset[str]
    made: dict[tuple[str, str], nn.Parameter]

    def parameter(self, name: str, form: str = "") -> nn.Parameter:
        """The Parameter of an array: one for all nodes that read it in the same form."""
        if (name, form) not in self.made:
            array = self.arrays[name]
            array = array.T if form == "transposed" else array.reshape(-1) if form == "flat" else array
            self.made[name, form] = nn.Parameter(outputs_last(array) if array.ndim in (2, 4) else np.array(array))
        return self.made[name, form]


def conv(node: Operator, weights: Weights) -> nn.Module | None:
    """Conv2d, unless the padding differs between the ends of an axis."""
    weight = weights.arrays.get(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    pads = node.get("pads") or (0, 0, 0, 0)
    if weight is None or weight.ndim != 4 or (bias and bias not in weights.arrays) or len(pads) != 4:
        return None
    ends = (pads[0], pads[2]), (pads[1], pads[3])
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or not is_even(ends) or 0 in weight.shape:
        return None
    groups = node.get("group", 1)
    with nn.init.placeholders():
        layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], weight.shape[2:], pair(node, "strides"),
                          (ends[0][0], ends[1][0]), pair(node, "dilations"), groups, bias=bool(bias))
    layer.weight = weights.parameter(node.inputs[1])
    layer.bias = weights.parameter(bias) if bias else None
    return layer


def dense(node: Operator, weights: Weights) -> nn.Module | None:
    """Linear, for Gemm without factors and for MatMul with a matrix on its right."""
    matrix = weights.arrays.get(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if matrix is None or matrix.ndim != 2 or 0 in matrix.shape or node.inputs[0] in weights.arrays:
        return None
    if node.kind == "MatMul" and node.inputs[1] not in weights.stored:       # a table, such as that of a resizing
        return None
    if node.get("transA", 0) or node.get("alpha", 1.0) != 1 or node.get("beta", 1.0) != 1:
        return None
    as_stored = bool(node.get("transB", 0))
    outputs, inputs = matrix.shape if as_stored else matrix.shape[::-1]
    if bias and (bias not in weights.arrays or weights.arrays[bias].size != outputs
                 or weights.arrays[bias].shape[-1:] != (outputs,)):
        return None
    with nn.init.placeholders():
        layer = nn.Linear(inputs, outputs, bias=bool(bias))
    layer.weight = weights.parameter(node.inputs[1], "" if as_stored else "transposed")
    layer.bias = weights.parameter(bias, "" if weights.arrays[bias].ndim == 1 else "flat") if bias else None
    return layer


def batch_norm(node: Operator, weights: Weights) -> nn.Module | None:
    """BatchNorm2d or BatchNorm1d, by the number of axes that was inferred."""
    if node.rank not in (2, 4) or node.get("training_mode", 0) or any(
            name not in weights.arrays for name in node.inputs[1:]):
        return None
    arrays = [weights.arrays[name] for name in node.inputs[1:]]
    kind = nn.BatchNorm2d if node.rank == 4 else nn.BatchNorm1d
    layer = kind(len(arrays[0]), eps=node.get("epsilon", 1e-5), momentum=1 - node.get("momentum", 0.9))
    fixed = [name not in weights.stored and bool((array == usual).all())         # written for a norm without them
             for name, array, usual in zip(node.inputs[1:3], arrays, (1, 0), strict=False)]
    layer.weight, layer.bias = (None if usual else weights.parameter(name)
                                for name, usual in zip(node.inputs[1:3], fixed, strict=True))
    layer.running_mean.data, layer.running_var.data = (np.array(array) for array in arrays[2:])
    return layer


def pooling(node: Operator, weights: Weights) -> nn.Module | None:
    """MaxPool2d, where the padding is even and its last windows lie within."""
    kernel, pads = node.get("kernel_shape", ()), node.get("pads") or (0, 0, 0, 0)
    if len(kernel) != 2 or len(pads) != 4 or node.get("ceil_mode", 0) or len(node.outputs) > 1:
        return None
    ends = (pads[0], pads[2]), (pads[1], pads[3])
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or not is_even(ends) or any(
            2 * end[0] > k for end, k in zip(ends, kernel, strict=True)):
        return None
    return nn.MaxPool2d(tuple(kernel), pair(node, "strides"), (ends[0][0], ends[1][0]), pair(node, "dilations"))


def dropout(node: Operator, weights: Weights) -> nn.Module | None:
    """Dropout, which drops in training only; its ratio is an attribute before opset 12, and an input since."""
    if len(node.inputs) > 2 or len(node.outputs) > 1:
        return None
    ratio = node.get("ratio", 0.5)
    if len(node.inputs) > 1 and node.inputs[1]:
        if node.inputs[1] not in weights.arrays:
            return None
        ratio = weights.arrays[node.inputs[1]].reshape(()).item()
    return nn.Dropout(ratio)


def flatten(node: Operator, weights: Weights) -> nn.Module | None:
    return nn.Flatten() if node.get("axis", 1) == 1 and node.rank not in (None, 0, 1) else None


LAYERS: dict[str, Callable[[Operator, Weights], Any]] = {
    "Conv": conv, "Gemm": dense, "MatMul": dense, "BatchNormalization": batch_norm, "MaxPool": pooling,
    "Dropout": dropout, "Flatten": flatten, "Relu": lambda node, weights: nn.ReLU(),
}  # fmt: skip
