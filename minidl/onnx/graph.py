"""A graph of ONNX while it is being written: nodes with readable names, and the arrays that they read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from minidl.device import CPU


class Graph:
    """The nodes of a graph in order, and its initializers, {name: array}.

    opset   the version of the operators
    state   {name: array} of a model; an array of it that a node reads becomes the initializer of that name, and any
            other array a Constant node
    """

    def __init__(self, opset: int, state: dict[str, Any]):
        self.opset = opset
        self.names = {id(array): name for name, array in reversed(state.items())}
        self.kept = state                        # so that no other array gets the identity of one of these
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.taken: set[str] = set(state)
        self.outputs: list[str] = []
        self.name = ""                           # of the step that is being written
        self.constants: dict[tuple, str] = {}    # so that equal numbers of one step share a node

    def begin(self, name: str) -> None:
        """From here on, nodes belong to a step of this name."""
        self.name = name
        self.constants.clear()

    def add(self, kind: str, *inputs: str | None, part: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output, which is that of the node: that of the step, and `part`."""
        names = [name or "" for name in inputs]
        while names and not names[-1]:
            names.pop()
        name = self.unique(f"{self.name}.{part}" if part else self.name)
        self.nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return name

    def array(self, array: Any, part: str) -> str:
        """The name of an array: an initializer if it belongs to the model, else a Constant node."""
        name = self.names.get(id(array))
        array = np.asarray(CPU.put(array))
        if name is not None:
            self.initializers[name] = array
            return name
        key = (part, array.dtype, array.shape, array.tobytes())
        if key not in self.constants:
            value = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape))
            self.constants[key] = self.add("Constant", part=part, value=value)
        return self.constants[key]

    def ints(self, numbers: Iterable[int], part: str) -> str:
        """The name of a Constant node of int64."""
        return self.array(np.array(list(numbers), np.int64), part)

    def scalar(self, number: float, dtype: Any, part: str) -> str:
        """The name of a Constant node of one number, without axes."""
        return self.array(np.array(number, dtype), part)

    def reduce(self, kind: str, x: str, axes: Iterable[int], keepdims: bool = True, part: str = "") -> str:
        """Add a reduction. Its axes have been an input since opset 13 (ReduceSum) or 18 (all others)."""
        axes = sorted(axes)
        if kind == "ReduceSum" or self.opset >= 18:
            return self.add(kind, x, self.ints(axes, "axes"), part=part, keepdims=int(keepdims))
        return self.add(kind, x, part=part, keepdims=int(keepdims), axes=axes)

    def unique(self, name: str) -> str:
        """`name`, with a number behind it if it is taken."""
        chosen, i = name, 1
        while chosen in self.taken:
            i += 1
            chosen = f"{name}_{i}"
        self.taken.add(chosen)
        return chosen

    def rename(self, old: str, new: str) -> None:
        """Give the output of a node another name, wherever it is read."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == old:
                        names[i] = new

    def tensors(self) -> list[TensorProto]:
        """The initializers, as the file has them."""
        return [numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
                for name, array in self.initializers.items()]


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """{name: value} of a node's attributes; text as str. Raises ValueError for a reference to an outer function."""
    found = {}
    for attribute in node.attribute:
        if attribute.ref_attr_name or attribute.type == AttributeProto.UNDEFINED:
            raise ValueError(f"{node.name or node.op_type}: its attribute {attribute.name} has no value")
        value = helper.get_attribute_value(attribute)
        found[attribute.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return found
