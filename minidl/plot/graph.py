"""What a network is made of and who reads whom, found out by running it once.

Every module notes which numbers the tape gave out during its call, so each node of the tape belongs to the innermost
call around it. A module that called no other becomes one box, however many nodes it made; a function called between
modules, such as `F.cat`, becomes a box of its own; all other calls become groups, as the modules are nested. Who reads
whom is on the tape. `arrange.py` makes this easier to look at.
"""

from dataclasses import dataclass, field

from minidl.nn import Module
from minidl.summary import restored, zeros_for
from minidl.tensor import Node, Tensor, newest_first, op, spent


@dataclass(eq=False)
class Box:
    """A layer, or a function. `layers` are the names of the modules whose calls it stands for."""

    name: str
    layer: str
    settings: str
    shape: tuple
    parameters: int
    layers: list = field(default_factory=list)


@dataclass(eq=False)
class Group:
    """The call of a module that called others: its boxes and groups in order of their first steps.

    It may stand for a row of `times` alike, of which the last has the name `until`.
    """

    name: str
    layer: str
    parameters: int
    items: list
    times: int = 1
    until: str = ""


@dataclass(eq=False)
class Stack:
    """Boxes of which each reads the one before it and nothing else, to be drawn in one piece."""

    boxes: list


@dataclass(eq=False)
class Graph:
    """The whole network: the outermost group, and the pairs of boxes of which the second reads the first."""

    root: Group
    edges: list


@dataclass(eq=False)
class Call:
    """One call of a module: its nodes have numbers between `first` and `last`."""

    name: str
    module: Module
    settings: dict
    first: int
    last: int = 0
    inside: list = field(default_factory=list)


@op
def passed(x, /):
    """x itself, as a step of its own: for a module that gives its input back."""
    return x, lambda grad: grad


def trace(model, input_shape):
    """The Graph of `model` for one input of zeros of `input_shape`, without the batch, in the state of use.

    Raises ValueError if the tape leads from no output back to the input.
    """
    x = zeros_for(model, input_shape)
    x.requires_grad = True
    calls = []
    with restored(model):
        model.eval()
        for name, module in model.named_modules():
            module.forward = noting(name, module, calls)            # hides the method of its class
        outputs = list(tensors(model(x)))
    nodes = between(x.node, [out.node for out in outputs if out.node is not None])
    if not nodes:
        raise ValueError(f"network: {type(model).__name__} gives nothing that was computed from its input")
    return graph_of(calls[0], x, nodes, outputs)


def noting(name, module, calls):
    """The forward of `module`, which puts a Call into `calls`, or into the one that is under way there."""
    forward = module.forward

    def noted(*inputs, **settings):
        call = Call(name, module, settings, next(Node.orders))
        under_way(calls).append(call)
        out = forward(*inputs, **settings)
        if isinstance(out, Tensor) and out.node is not None and out.node.order < call.first:
            out = passed(out)
        call.last = next(Node.orders)
        for tensor in tensors(out):
            forget(tensor.node, call.first)
        return out
    return noted


def under_way(calls):
    """The list that a new call belongs into."""
    while calls and not calls[-1].last:
        calls = calls[-1].inside
    return calls


def forget(node, first):
    """Free what the nodes younger than `first` keep for a walk back, which nobody will take."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node is not None and node.order > first and node.backward not in (None, spent):
            node.backward = spent
            stack.extend(node.parents)


def tensors(value):
    """Yield every Tensor in an output: one, or lists and dictionaries of them."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors(item)


def between(start, ends):
    """The nodes that were computed from `start` and led to one of `ends`, oldest first."""
    reached = {node for end in ends for node in newest_first(end)}
    after = {start}
    for node in sorted(reached, key=lambda node: node.order):
        if any(parent in after for parent in node.parents):
            after.add(node)
    return sorted(after - {start}, key=lambda node: node.order)


def graph_of(root, x, nodes, outputs):
    """Boxes for the nodes, groups for the calls around them, and who reads whom."""
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
    """The Group of a call, and in box_of the box of each of its nodes. `counted` holds modules seen before."""
    parts = {}                                       # by the number of its first node
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
    """The Box of a call in which no other was made; it counts the parameters if it is the first of its module."""
    parameters = 0 if call.module in counted else size(call.module)
    counted.add(call.module)
    box = Box(call.name, type(call.module).__name__, told(call), nodes[-1].shape[1:], parameters, [call.name])
    box_of.update(dict.fromkeys(nodes, box))
    return box


def layer_group(call, nodes, box_of):
    """A Group around the only box, of a model that is one layer."""
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
    """What a group sees of the edges: (item, item, the box that is read), None for an item outside; each once.

    Edges within one item, or wholly outside, are not seen.
    """
    item_of = {box: item for item in group.items for box in boxes_in(item)}
    links = {(item_of.get(above), item_of.get(below), above): None for above, below in edges}
    return [link for link in links if link[0] is not link[1]]


def ranks_of(items, links):
    """{item: the length of the longest way to it from an item that reads none of the others}; items are in order."""
    ranks = {}
    for item in items:
        before = [ranks[above] for above, below, _ in links if below is item and above in ranks]
        ranks[item] = 1 + max(before, default=-1)
    return ranks


def size(module):
    """How many numbers the parameters of a module hold."""
    return sum(parameter.size for parameter in module.parameters())


def told(call):
    """The settings of a layer in few words: those of windows if it has one, else what `print` shows of it.

    What the call asked for besides, such as ReLU in the same pass, stands behind.
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
    asked = [name for name, value in call.settings.items() if value is True or isinstance(value, Tensor)]
    relu = f"ReLU{call.settings.get('ceiling') or ''}"
    behind = [f", {relu}" if name == "relu" else f", {name}" for name in asked]
    return "".join([" " * bool(words), ", ".join(words), *behind])


def plain(value):
    """2 for (2, 2), 1x2 for (1, 2)."""
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))
    return str(value)
