"""The graph of a network, its layers and the edges between them, made from a record of one run on an empty batch.

A call that made no other calls becomes one box, however many nodes it has; a function called between modules, such as
`F.cat`, becomes a box of its own; all other calls become groups, nested as the modules are. The edges are those of the
tape. `nn/record.py` makes the record, and `arrange.py` then simplifies the graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from minidl.nn import Module
from minidl.nn.record import recorded
from minidl.nn.shapes import on_empty_batch
from minidl.tensor import Tensor


@dataclass(eq=False)
class Box:
    """A layer, or a function. `layers` holds the names of the modules whose calls it represents."""

    name: str
    layer: str
    settings: str
    shape: tuple[int, ...]
    parameters: int
    layers: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Group:
    """The call of a module that called others: its boxes and groups in the order in which they began.

    It may represent a row of `times` identical groups, from `name` to `until`.
    """

    name: str
    layer: str
    parameters: int
    items: list
    times: int = 1
    until: str = ""


@dataclass(eq=False)
class Stack:
    """Boxes drawn in one piece: each reads the one before it and nothing else."""

    boxes: list


@dataclass(eq=False)
class Graph:
    """The whole network: the outermost group, and the edges (a, b), where box b reads the output of box a."""

    root: Group
    edges: list


def trace(model: Module, input_shape: Iterable[int]) -> Graph:
    """The Graph of `model` in eval mode, for inputs of `input_shape`, without the batch axis: see `nn/shapes.py`.

    Raises ValueError if no output depends on the input.
    """
    return on_empty_batch(model, input_shape, partial(record, model))


def record(model: Module, x: Tensor) -> Graph:
    """The Graph of `model`, made by calling it with x."""
    run = recorded(model, x)
    if not run.nodes:
        raise ValueError(f"network: {type(model).__name__} returns nothing that was computed from its input")
    return graph_of(run.call, x, run.nodes, run.outputs)


def graph_of(root, x, nodes, outputs):
    """The Graph: boxes for the nodes, groups for the calls around them, and the edges between boxes."""
    box_of = {x.node: Box("input", "", "", x.shape[1:], 0)}
    group = group_of(root, nodes, box_of, set()) if root.inside else layer_group(root, nodes, box_of)
    edges = {(box_of[parent], box_of[node]): None for node in nodes for parent in node.parents if parent in box_of}
    edges = [(above, below) for above, below in edges if above is not below]
    group.items.insert(0, box_of[x.node])
    for out in dict.fromkeys(out.node for out in outputs if out.node in box_of):
        group.items.append(Box("output", "", "", out.shape[1:], 0))
        edges.append((box_of[out], group.items[-1]))
    return Graph(group, edges)


def group_of(call, nodes, box_of, counted):
    """The Group of a call; box_of gets the box of each of its nodes. `counted` holds the modules seen before."""
    parts = {}                                       # by the number of their first node
    for inner in call.inside:
        own = [node for node in nodes if inner.first < node.order < inner.last]
        if own:
            parts[own[0].order] = (group_of if inner.inside else layer_box)(inner, own, box_of, counted)
    for node in nodes:
        if node not in box_of:
            parts[node.order] = box_of[node] = Box("", node.name, "", node.shape[1:], 0)
    items = [part for _, part in sorted(parts.items())]
    return Group(call.name, type(call.module).__name__, size(call.module), items)


def layer_box(call, nodes, box_of, counted):
    """The Box of a call that made no other calls; it counts the parameters at the first call of its module."""
    parameters = 0 if call.module in counted else size(call.module)
    counted.add(call.module)
    box = Box(call.name, type(call.module).__name__, settings_text(call), nodes[-1].shape[1:], parameters, [call.name])
    box_of.update(dict.fromkeys(nodes, box))
    return box


def layer_group(call, nodes, box_of):
    """A Group around a single box, for a model that is one layer."""
    return Group("", type(call.module).__name__, size(call.module), [layer_box(call, nodes, box_of, set())])


def boxes_in(item):
    """Every box in a box, a stack or a group, in order."""
    if isinstance(item, Box):
        return [item]
    inner = item.boxes if isinstance(item, Stack) else item.items
    return [box for part in inner for box in boxes_in(part)]


def groups_in(group):
    """A group and all groups in it, the inner ones first."""
    inner = [found for item in group.items if isinstance(item, Group) for found in groups_in(item)]
    return [*inner, group]


def links_in(group, edges):
    """The edges between items of a group: (item, item, the box that is read), None for an item outside; each once.

    Edges within one item, and those wholly outside the group, are left out.
    """
    item_of = {box: item for item in group.items for box in boxes_in(item)}
    links = {(item_of.get(above), item_of.get(below), above): None for above, below in edges}
    return [link for link in links if link[0] is not link[1]]


def ranks_of(items, links):
    """{item: the length of the longest path to it from an item that reads no other}; items must be in order."""
    ranks = {}
    for item in items:
        before = [ranks[above] for above, below, _ in links if below is item and above in ranks]
        ranks[item] = 1 + max(before, default=-1)
    return ranks


def size(module):
    """The number of elements of a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def settings_text(call):
    """The settings of a layer in few words: those of its window if it has one, else those that `print` shows.

    What the call requested besides, such as ReLU in the same pass, is appended.
    """
    module = call.module
    if hasattr(module, "kernel_size"):
        words = ["x".join(map(str, module.kernel_size))]
        for name, usual in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            value = getattr(module, name, usual)
            if value != usual:
                words.append(f"{name} {plain(value)}")
    else:
        words = [] if module.parameters() else list(filter(None, [module.extra_repr()]))
    requested = [name for name, value in call.settings.items() if value is True or isinstance(value, Tensor)]
    relu = f"ReLU{call.settings.get('ceiling') or ''}"
    appended = [f", {relu}" if name == "relu" else f", {name}" for name in requested]
    return "".join([" " * bool(words), ", ".join(words), *appended])


def plain(value):
    """2 for (2, 2), 1x2 for (1, 2)."""
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))
    return str(value)
