"""A graph of ONNX as a Module: its nodes, one after the other, as layers and functions."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

import minidl.nn as nn
from minidl.onnx.reading import OPERATORS
from minidl.onnx.source import Operator
from minidl.tensor import Tensor, as_array


class Step(NamedTuple):
    """One node: what it reads, what it makes, and what nobody reads after it.

    path  the dotted name of the layer that computes it; "" for a function of `reading/`
    """

    node: Operator
    path: str
    last: tuple[str, ...]


class Part(nn.Module):
    """A place in the tree of names: "layer1" in "layer1.0.conv1"."""


class OnnxNetwork(nn.Module):
    """The network in a file of ONNX.   One tensor, or as many as the graph has inputs  ->  its output, or a tuple

    Layers are under the names of their weights, and can be replaced. Constants are neither trained nor saved.
    """

    def __init__(self) -> None:
        self.plan: list[Step] = []
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.constants: dict[str, np.ndarray] = {}
        self.parameter_paths: dict[str, str] = {}    # {name of the graph: dotted name of a Parameter}
        self.takes_pixels = False                    # uint8 (N, H, W, C), normalized in the graph

    def forward(self, *inputs: Any) -> Any:
        values = self.started(inputs)
        for step in self.plan:
            given = [values[name] if name else None for name in step.node.inputs]
            try:
                out = self.at(step.path)(given[0]) if step.path else OPERATORS[step.node.kind](step.node, *given)
            except (ValueError, TypeError, IndexError) as error:
                raise located(step.node, error) from error
            for name, value in zip(step.node.outputs, out if isinstance(out, tuple) else (out,), strict=False):
                values[name] = value
            for name in step.last:
                del values[name]
        outputs = [values[name] for name in self.outputs]
        outputs = [out if isinstance(out, Tensor) else Tensor(as_array(out)) for out in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def started(self, inputs: tuple[Any, ...]) -> dict[str, Any]:
        """The values that are there before the first step."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"OnnxNetwork: it has {len(self.inputs)} inputs ({', '.join(self.inputs)}), not "
                             f"{len(inputs)}")
        values: dict[str, Any] = dict(self.constants)
        values |= {name: self.at(path) for name, path in self.parameter_paths.items()}
        for name, x in zip(self.inputs, inputs, strict=True):
            x = x if isinstance(x, Tensor) else Tensor(as_array(x))
            if self.takes_pixels and x.dtype.kind == "f":
                x = Tensor(np.rint(x.numpy() * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))
            values[name] = x if x.dtype.kind == "f" else x.numpy()
        return values

    def at(self, path: str) -> Any:
        """The layer or the Parameter of this dotted name."""
        return functools.reduce(getattr, path.split("."), self)


def located(node: Operator, error: Exception) -> Exception:
    """An error that names the node."""
    text = str(error)
    prefix = f"{node.kind} {node.name!r}"
    return error if text.startswith(prefix) else type(error)(f"{prefix}: {text}")
