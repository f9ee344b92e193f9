"""What a network computes, whatever the number of images: two records of it, of two batches, compared.

A length that is 2k in the run of two images and 3k in that of three is k times the number of images. Everything else
must be the same in both runs. What is not (a choice made by looking at the values, moments of the batch, a result that
left the tape through `.data` or `.numpy()`) cannot be put into a graph, and is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minidl.modes import mode
from minidl.nn import Module
from minidl.nn.record import Run, recorded
from minidl.nn.shapes import zeros_for
from minidl.tensor import Node, Tensor

FEWER, MORE = 2, 3                               # images in the two runs
CHANGES = "{} changes with the images, by a way that is not recorded"


class Batch(NamedTuple):
    """A length that is `times` the number of images."""

    times: int = 1


@dataclass(eq=False)
class Value:
    """What an operation reads or makes: the input, or an output of a step. Lengths may be a Batch."""

    shape: tuple[Any, ...]
    dtype: np.dtype


@dataclass(eq=False)
class Step:
    """One operation: its `inputs` are Values, arrays, numbers or None; `name` is unique only by chance."""

    operation: str
    name: str
    inputs: list[Any]
    settings: dict[str, Any]
    out: Value


class Trace(NamedTuple):
    """The steps in order, the input, and {name: Value} of the outputs."""

    input: Value
    steps: list[Step]
    outputs: dict[str, Value]


def trace(model: Module, shape: Iterable[int]) -> Trace:
    """The Trace of `model` in eval mode, for images of `shape` (C, H, W).

    Raises ValueError, which names the layer, if the two runs differ in more than the number of images.
    """
    fewer, more = (run_of(model, (images, *shape)) for images in (FEWER, MORE))
    if [node.name for node in fewer.nodes] != [node.name for node in more.nodes]:
        raise ValueError(f"{type(model).__name__} does not run the same operations for {FEWER} images and for {MORE}; "
                         "a graph has no choices")
    values: dict[Any, Value] = {}

    def add(node: Any, twin: Any) -> Value:
        values[node] = Value(lengths("its shape", node.shape, twin.shape), node.dtype)
        return values[node]

    first = add(fewer.input, more.input)
    steps = []
    for node, twin in zip(fewer.nodes, more.nodes, strict=True):
        name = name_of(fewer, node)
        try:
            steps.append(step_of(name, node, twin, values, add))
        except ValueError as error:
            raise ValueError(f"{name}: {node.name}: {error}") from None
    outputs = {}
    for name, tensor in named(fewer.result):
        if tensor.node not in values:
            raise ValueError(f"{type(model).__name__}: the {name} does not depend on the input by recorded operations")
        outputs[name] = values[tensor.node]
    if not outputs:
        raise ValueError(f"{type(model).__name__} returns no Tensor")
    return Trace(first, steps, outputs)


def run_of(model: Module, shape: tuple[int, ...]) -> Run:
    """The record of a run on random images."""
    zeros = zeros_for(model, (1, *shape[1:]))
    images = np.random.default_rng(len(shape)).standard_normal(shape).astype(zeros.dtype)
    before, mode.recording = mode.recording, True
    try:
        return recorded(model, Tensor(images).to(zeros.device))
    finally:
        mode.recording = before


def step_of(name, node, twin, values, add) -> Step:
    """The Step of a node and of the node at the same place in the other run."""
    one, other = node.backward, twin.backward
    inputs = []
    for i, (a, b) in enumerate(zip(one.inputs, other.inputs, strict=True)):
        parent = node.parents[i] if i < len(node.parents) else None          # inputs that are left out have none
        inputs.append(values[parent] if parent in values else constant(f"its input number {i + 1}", a, b))
    settings = {key: same(f"its setting {key}", value, other.settings[key]) for key, value in one.settings.items()}
    return Step(node.name, name, inputs, settings, add(node, twin))


def name_of(run: Run, node: Node) -> str:
    """The name of the layer whose last operation this is; for others, with the operation's name behind it."""
    call = run.innermost(node)
    last = max(other.order for other in run.nodes if call.first < other.order < call.last)
    if call.name and not call.inside and node.order == last:
        return call.name
    return f"{call.name}.{node.name}" if call.name else node.name


def same(what: str, a: Any, b: Any) -> Any:
    """The value that both runs have, in which a length may be a Batch. Raises ValueError if they differ."""
    if a is b:
        return a
    if isinstance(a, tuple | list) and type(a) is type(b) and len(a) == len(b):
        items = [same(what, x, y) for x, y in zip(a, b, strict=True)]
        return a._make(items) if hasattr(a, "_make") else type(a)(items)
    if hasattr(a, "dtype") and hasattr(b, "dtype"):
        if a.shape == b.shape and a.dtype == b.dtype and bool((a == b).all()):
            return a
    elif isinstance(a, slice) and isinstance(b, slice):
        return slice(*(same(what, x, y) for x, y in ((a.start, b.start), (a.stop, b.stop), (a.step, b.step))))
    elif type(a) is type(b) and a == b:
        return a
    elif type(a) is type(b) is int and a % FEWER == b % MORE == 0 and a // FEWER == b // MORE:
        return Batch(a // FEWER)
    raise ValueError(CHANGES.format(what))


def constant(what: str, a: Any, b: Any) -> Any:
    """The value that both runs have, and no Batch. Raises ValueError if there is none."""
    value = same(what, a, b)
    if isinstance(value, Batch):
        raise ValueError(CHANGES.format(what))
    return value


def lengths(what: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[Any, ...]:
    """The shape that two runs have in common."""
    if len(a) != len(b):
        raise ValueError(f"{what} is {a} for {FEWER} images, and {b} for {MORE}")
    return same(what, a, b)


def named(result: Any) -> list[tuple[str, Tensor]]:
    """The (name, Tensor) pairs in what a model returned: "output", or the keys of a dictionary or named tuple."""
    if isinstance(result, Tensor):
        return [("output", result)]
    if hasattr(result, "_asdict"):               # a named tuple
        result = result._asdict()
    elif isinstance(result, tuple | list):
        result = {f"output_{i}": item for i, item in enumerate(result)}
    if not isinstance(result, dict) or not all(isinstance(item, Tensor) for item in result.values()):
        raise ValueError(f"the model returns {type(result).__name__}; an exported one must return a Tensor, or a "
                         "tuple or dictionary of them")
    return [(str(key), item) for key, item in result.items()]
