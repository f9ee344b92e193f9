"""A record of one run of a network: every operation with what it was given, and the calls of modules around it.

The tape already shows which operation reads what. While a run is recorded, the backward of each node is replaced by an
`Operation`, which holds the inputs and the settings of the call in place of what a gradient would need. Nodes are
numbered as they are created, and a call notes the first and last number given out during it: a node belongs to the
innermost call around it. Drawings and exports are made from such a record.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from minidl import writes
from minidl.modes import mode
from minidl.nn.module import Module
from minidl.nn.observe import observed
from minidl.nn.shapes import watching
from minidl.tensor import Node, Tensor, newest_first, op


class Operation:
    """One call of an operation; it stands in its node where `backward` was.

    inputs    what stands before the `/` in its signature: arrays, numbers or None, in the order of node.parents
    settings  {name: value} of all others, defaults included
    """

    __slots__ = ("function", "inputs", "name", "settings")

    def __init__(self, name: str, function: Callable[..., Any], values: tuple, settings: dict[str, Any]):
        bound = signature(function).bind(*values, **settings)
        bound.apply_defaults()
        tensors = [name for name, parameter in bound.signature.parameters.items() if is_input(parameter)]
        given = dict(bound.arguments)
        inputs: list[Any] = []
        for key in tensors:
            value = given.pop(key)
            inputs += value if bound.signature.parameters[key].kind is inspect.Parameter.VAR_POSITIONAL else [value]
        self.name, self.function, self.inputs, self.settings = name, function, tuple(inputs), given

    def __call__(self, grad: Any) -> NoReturn:
        raise RuntimeError(f"backward: this run was recorded for a drawing or an export, and {self.name} kept nothing "
                           "for a backward pass; run the model again")


@functools.cache
def signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of an operation's function."""
    return inspect.signature(function)


def is_input(parameter: inspect.Parameter) -> bool:
    """Whether a parameter of an operation takes a tensor, rather than a setting."""
    return parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


class Recorder:
    """A watcher of operations (see `watched` in modes.py), which replaces each backward by an Operation."""

    def __init__(self, outer: Any):
        self.outer = outer

    def watch(self, function: Callable[..., Any], phase: str, name: str) -> Callable[..., Any]:
        """The same function, recorded in the forward pass; an outer watcher sees it, too."""
        seen = function if self.outer is None else self.outer.watch(function, phase, name)
        return functools.partial(self.forward, function, seen, name) if phase == "forward" else seen

    def forward(self, function, seen, name, /, *inputs, **settings):
        """Call an operation, which returns its output and `backward`."""
        out, _ = seen(*inputs, **settings)
        return out, Operation(name, function, inputs, settings)


@dataclass(eq=False)
class Call:
    """One call of a module: its nodes have numbers between `first` and `last`; `inside` are the calls it made."""

    name: str
    module: Module
    settings: dict[str, Any]
    first: int
    last: int = 0
    inside: list[Call] = field(default_factory=list)


@dataclass(eq=False)
class Run:
    """What `recorded` returns.

    call     that of the model itself
    input    the node of the input
    nodes    those on paths from the input to an output, oldest first; `backward` of each is its Operation
    outputs  every Tensor in what the model returned
    result   what it returned
    """

    call: Call
    input: Node | None
    nodes: list[Node]
    outputs: list[Tensor]
    result: Any

    def innermost(self, node: Node) -> Call:
        """The innermost call of a module during which `node` was created."""
        call = self.call
        while found := [inner for inner in call.inside if inner.first < node.order < inner.last]:
            call = found[0]
        return call


@op
def passed(x, /):
    """x itself, recorded as an operation: for a module that returns its input."""
    return x, lambda grad: grad


def recorded(model: Module, x: Tensor) -> Run:
    """A Run of `model` in eval mode for the input x, which comes to require a gradient."""
    x.requires_grad = True
    calls: list[Call] = []                          # those of the model itself
    running: list[Call] = []                        # the innermost one comes last

    def begin(name: str, module: Module, inputs: tuple, settings: dict[str, Any]) -> None:
        call = Call(name, module, settings, next(writes.clock))
        (running[-1].inside if running else calls).append(call)
        running.append(call)

    def end(name: str, module: Module, inputs: tuple, settings: dict[str, Any], out: Any) -> Any:
        call = running.pop()
        if isinstance(out, Tensor) and out.node is not None and out.node.order < call.first:
            out = passed(out)
        call.last = next(writes.clock)
        return out

    with observed(model, end, begin), watching(Recorder(mode.watcher)):
        result = model.eval()(x)
    outputs = list(tensors(result))
    nodes = between(x.node, [out.node for out in outputs if out.node is not None])
    return Run(calls[0], x.node, nodes, outputs, result)


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield every Tensor in an output, which may be one, or lists, tuples and dictionaries of them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)


def between(start: Any, ends: list[Node]) -> list[Node]:
    """The nodes on paths from `start` to one of `ends`, oldest first, without `start` itself."""
    reached = {node for end in ends for node in newest_first(end)}
    after = {start}
    for node in sorted(reached, key=lambda node: node.order):
        if any(parent in after for parent in node.parents):
            after.add(node)
    return sorted(after - {start}, key=lambda node: node.order)
