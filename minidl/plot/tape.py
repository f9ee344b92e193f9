"""The tape of an expression as a drawing: each value, how it was computed, and its gradient.

    a, b = Tensor(2.0, requires_grad=True), Tensor(-3.0, requires_grad=True)
    plot.tape(a * b + a, a=a, b=b)                              # values of the tensors that are named, and gradients
    plot.tape(lambda a, b: F.tanh(a * b + a), a=2.0, b=-3.0)    # all values

From left to right: inputs, operations, the result. A box that reads another is to the right of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from minidl.arrays import no_scalar
from minidl.device import CPU
from minidl.modes import mode
from minidl.plot.figure import Drawing
from minidl.plot.letters import clean, text_width
from minidl.tensor import Node, Tensor, newest_first, propagate

SIGNS = {"add": "+", "sub": "\u2212", "mul": "\u00d7", "div": "/", "matmul": "@", "pow": "^", "neg": "\u2212"}
LINE, PAD, GAP, COLUMN, MARGIN = 16, 10, 18, 56, 24
MOST = 200                                       # nodes; larger graphs are for `plot.network`
STYLE = """
text { font-family: 'Helvetica Neue', Helvetica, Arial, sans-serif; font-size: 12px; fill: #2d3a4a }
.name { font-weight: bold }
.grad { fill: #b3400a }
.soft { fill: #66727f }
.leaf rect { fill: #e4eefb; stroke: #2f6fbe }
.op rect { fill: #f7f9fb; stroke: #8a94a0 }
.result rect { fill: #fdf6d0; stroke: #c9a400 }
path { fill: none; stroke: #55616e; stroke-width: 1.3 }
"""


@dataclass(eq=False)
class Place:
    """A box, or, without a node, a point through which an edge passes a column."""

    node: Node | None
    column: int
    lines: list[tuple[str, str]] = field(default_factory=list)       # (class, text)
    above: list["Place"] = field(default_factory=list)               # what it reads
    width: float = 0
    height: float = 0
    x: float = 0
    y: float = 0                                 # of its middle


def tape(expression: Tensor | Callable[..., Tensor], **tensors: Any) -> Drawing:
    """The graph of a tensor, or of a function of the named tensors or numbers, as SVG.

    tensors   for a tensor: names of tensors in its graph, whose values are shown; for a function: its arguments, by
              name, and then all values are shown
    The gradient of the result, or of the sum of its elements, by each value is shown, unless the graph was released by
    `backward`; then those that `backward` left. Nothing is changed. Arrays are shown by their shapes, small ones by
    their elements. Raises ValueError for a result without a graph, or with more than 200 nodes.
    """
    values: dict[int, Any] = {}
    if not isinstance(expression, Tensor):
        tensors = {name: leaf(value) for name, value in tensors.items()}
        expression, values = watched_call(expression, tensors)
    if expression.node is None:
        raise ValueError("tape: this tensor has no graph: no input had requires_grad=True, or it was computed under "
                         "no_grad")
    nodes = sorted(newest_first(expression.node), key=attrgetter("order"))
    if len(nodes) > MOST:
        raise ValueError(f"tape: the graph has {len(nodes)} nodes, more than the {MOST} that can be drawn; "
                         "plot.network draws networks")
    named = {t.node: (name, t.data) for name, t in tensors.items() if isinstance(t, Tensor) and t.node is not None}
    known = {node: values.get(id(node.backward), (None,))[0] for node in nodes}
    known |= {node: value for node, (_, value) in named.items()}
    known[expression.node] = expression.data
    names = {node: name for node, (name, _) in named.items()}
    return draw(nodes, names, known, gradients(expression))


def leaf(value: Any) -> Any:
    """A tensor of its own with the same value; integers in arrays, such as classes, stay as they are."""
    array = value.data if isinstance(value, Tensor) else Tensor(value).data
    return Tensor(array, requires_grad=True) if array.dtype.kind == "f" else Tensor(array)


def watched_call(function: Callable[..., Tensor], tensors: dict[str, Any]) -> tuple[Tensor, dict[int, Any]]:
    """The result of the function, and {id of an op's backward: (its output, its backward)}."""
    seen: dict[int, Any] = {}

    class Watcher:
        """Sees every operation: see `watched` in tensor.py."""

        def watch(self, run: Callable[..., Any], phase: str, name: str) -> Callable[..., Any]:
            def kept(*inputs: Any, **settings: Any) -> Any:
                result = run(*inputs, **settings)
                if phase == "forward" and isinstance(result, tuple):
                    seen[id(result[1])] = no_scalar(result[0]), result[1]      # which keeps its id taken
                return result
            return kept

    before, mode.watcher = mode.watcher, Watcher()
    try:
        result = function(**tensors)
    finally:
        mode.watcher = before
    if not isinstance(result, Tensor):
        raise TypeError(f"tape: the function returned a {type(result).__name__}, not a Tensor")
    return result, seen


def gradients(result: Tensor) -> dict[Node, Any]:
    """{node: the gradient of the sum of the result by it}, without a change of `.grad`."""
    assert result.node is not None
    grads: dict[Node, Any] = {result.node: np.ones_like(CPU.put(result.data))}
    found: dict[Node, Any] = {}
    nodes = newest_first(result.node)
    try:
        for node in nodes:
            if node in grads:
                found[node] = grads[node]
                propagate(node, grads)
    except RuntimeError:                         # released: what `backward` left
        found = {node: node.grad for node in nodes if node.grad is not None}
    return found


def draw(nodes: list[Node], names: dict[Node, str], values: dict[Node, Any], grads: dict[Node, Any]) -> Drawing:
    """The SVG of the nodes, oldest first."""
    columns = columns_of(nodes)
    places = {node: Place(node, columns[node], lines_of(node, names.get(node), values.get(node), grads.get(node)))
              for node in nodes}
    for place in places.values():
        place.width = 2 * PAD + max(text_width(text) for _, text in place.lines) * 12 / 11
        place.height = LINE * len(place.lines) + PAD
    everything = [*places.values(), *with_points(nodes, places)]
    width, height = arranged(everything)
    paths = [edge(above, place) for place in everything for above in place.above]
    kinds = {node: "result" if node is nodes[-1] else "leaf" if not node.parents else "op" for node in nodes}
    boxes = [box(place, kinds[node]) for node, place in places.items()]
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">')
    return Drawing("\n".join([head, f"<title>{clean(nodes[-1].name)}</title>", f"<style>{STYLE}</style>",
                              f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>', *paths, *boxes,
                              "</svg>", ""]))


def columns_of(nodes: list[Node]) -> dict[Node, int]:
    """The column of each node: that after the last of its inputs; a leaf is just before its first reader."""
    columns: dict[Node, int] = {}
    for node in nodes:
        columns[node] = 1 + max((columns[parent] for parent in node.parents if parent is not None), default=-1)
    for node in nodes:
        if not node.parents:
            readers = [columns[other] for other in nodes if node in other.parents]
            columns[node] = min(readers, default=1) - 1
    return columns


def lines_of(node: Node, name: str | None, value: Any, grad: Any) -> list[tuple[str, str]]:
    """The texts of a box: its name or operation, its value or shape, and its gradient."""
    operation = SIGNS.get(node.name, node.name) if node.parents else ""
    head = " = ".join(filter(None, [name, operation])) or "leaf"
    constants = sum(parent is None for parent in node.parents)
    lines = [("name", head + " with a constant" * (constants == 1) + f" with {constants} constants" * (constants > 1))]
    lines.append(("", f"value {written(value)}") if value is not None else ("soft", f"shape {node.shape}"))
    return lines + ([("grad", f"grad {written(grad)}")] if grad is not None else [])


def written(array: Any) -> str:
    """A number, few numbers, or a shape."""
    array = np.asarray(CPU.put(array))
    if array.size == 1:
        return f"{array.item():.4g}"
    if array.ndim == 1 and array.size <= 4:
        return ", ".join(f"{x:.3g}" for x in array.tolist())
    return f"{' x '.join(map(str, array.shape))}, mean {array.mean():.3g}"


def with_points(nodes: list[Node], places: dict[Node, Place]) -> list[Place]:
    """Let each place read the ones before it; returns the points where edges pass columns."""
    points: dict[tuple[Node, int], Place] = {}
    for node in nodes:
        for parent in dict.fromkeys(parent for parent in node.parents if parent is not None):
            last = places[parent]
            for column in range(last.column + 1, places[node].column):
                key = parent, column
                if key not in points:
                    points[key] = Place(None, column, above=[last])
                last = points[key]
            places[node].above.append(last)
    return list(points.values())


def arranged(everything: list[Place]) -> tuple[float, float]:
    """Set the places in columns, each near the mean height of what it reads; returns the size of the drawing."""
    columns = [[place for place in everything if place.column == number]
               for number in range(1 + max(place.column for place in everything))]
    readers: dict[Place, list[Place]] = {place: [] for place in everything}
    for place in everything:
        for above in place.above:
            readers[above].append(place)
    for column in columns:
        stacked(column, sorted(column, key=lambda place: mean(place.above)))
    for _ in range(4):
        for column in reversed(columns[:-1]):
            stacked(column, sorted(column, key=lambda place: mean(readers[place] or [place])),
                    lambda place: mean(readers[place] or [place]))
        for column in columns[1:]:
            stacked(column, sorted(column, key=lambda place: mean(place.above or [place])),
                    lambda place: mean(place.above or [place]))
    x = float(MARGIN)
    for column in columns:
        widest = max((place.width for place in column), default=0.0)
        for place in column:
            place.x, place.width = x, max(place.width, widest)
        x += widest + COLUMN
    top = min(place.y - place.height / 2 for place in everything)
    for place in everything:
        place.y += MARGIN - top
    bottom = max(place.y + place.height / 2 for place in everything)
    return x - COLUMN + MARGIN, bottom + MARGIN


def mean(places: Iterable[Place]) -> float:
    """The mean height of some places; 0 of none."""
    heights = [place.y for place in places]
    return sum(heights) / len(heights) if heights else 0.0


def stacked(column: list[Place], order: list[Place], wish: Callable[[Place], float] | None = None) -> None:
    """Set the places of a column one below the other, as near to the heights they wish as their gaps allow."""
    column[:] = order
    y = -np.inf
    wishes = [wish(place) if wish else 0.0 for place in column]
    for place, wished in zip(column, wishes, strict=True):
        place.y = max(wished, y + place.height / 2 + GAP)
        y = place.y + place.height / 2
    too_low = mean(column) - (sum(wishes) / len(wishes) if wishes else 0)
    for place in column:
        place.y -= too_low


def edge(above: Place, place: Place) -> str:
    """A curve from the right of a place to the left of another, and straight through a point."""
    x, y, end = above.x + above.width, above.y, place.x
    half = (x + end) / 2
    tail = f" H{place.x + place.width:.1f}" if place.node is None else ""
    back, to = end - 6, place.y
    arrow = f"M{back:.1f} {to - 4:.1f} L{end:.1f} {to:.1f} L{back:.1f} {to + 4:.1f}" if place.node is not None else ""
    return f'<path d="M{x:.1f} {y:.1f} C{half:.1f} {y:.1f} {half:.1f} {to:.1f} {end:.1f} {to:.1f}{tail}{arrow}"/>'


def box(place: Place, kind: str) -> str:
    """A box with its lines of text."""
    left, top = place.x, place.y - place.height / 2
    texts = "".join(f'<text x="{left + place.width / 2:.1f}" y="{top + PAD / 2 + LINE * (i + 0.75):.1f}" '
                    f'text-anchor="middle" class="{style}">{clean(text)}</text>'
                    for i, (style, text) in enumerate(place.lines))
    return (f'<g class="{kind}"><rect x="{left:.1f}" y="{top:.1f}" width="{place.width:.1f}" '
            f'height="{place.height:.1f}" rx="6"/>{texts}</g>')
