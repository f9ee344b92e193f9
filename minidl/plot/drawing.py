"""The drawing of a network's architecture as an SVG file, which every browser shows."""

from collections.abc import Iterable

from minidl.nn import Module
from minidl.plot.arrange import arrange, kind, small
from minidl.plot.figure import Drawing
from minidl.plot.graph import Group, groups_in, trace
from minidl.plot.layout import lay_out
from minidl.plot.letters import clean, cut, line_width, text, text_width

TALL, LOW = 42, 22            # the height of a box with two lines, and with one
WIDTH, PAD = 176, 10          # the minimum width of a box; the distance between its text and its sides
MARGIN, HEAD, ROW = 24, 52, 20         # around the drawing; the height of its title, and of a line of the legend
COLORS = {                    # by kind: the fill of a box, and the stripe at its left side
    "convolution": ("#e4eefb", "#2f6fbe"),
    "dense": ("#ece6f8", "#6f4bb8"),
    "resize": ("#fdeedd", "#d9822b"),
    "norm": ("#eef3f1", "#6b9080"),
    "join": ("#fdf6d0", "#c9a400"),
    "end": ("#2d3a4a", "#2d3a4a"),
    "other": ("#f1f2f4", "#8a94a0"),
}
KINDS = {                     # what the legend calls the kinds
    "convolution": "convolution", "dense": "dense layer", "resize": "pooling or upsampling", "norm": "normalization",
    "join": "sum or concatenation", "other": "activation, reshaping, ...",
}
NUMBERS = "right: output shape (C x H x W), parameters"
FUNCTIONS = {"getitem": "crop", "cat": "concatenate", "mul": "multiply", "sub": "subtract", "div": "divide"}
STYLE = """
text { font-family: 'Helvetica Neue', Helvetica, Arial, sans-serif; font-size: 11px; fill: #2d3a4a }
.head { font-size: 19px; font-weight: bold }
.name { font-weight: bold }
.soft { fill: #66727f }
.end tspan { fill: #ffffff }
.frame { fill: #ffffff; stroke: #c3cbd4; stroke-width: 1 }
.deep { fill: #f7f9fb }
.edge { fill: none; stroke: #55616e; stroke-width: 1.4 }
"""
ARROW = ('<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
         'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.8 L8 4 L0 7.2 z" fill="#55616e"/></marker></defs>')


def network(model: Module, input_shape: Iterable[int], fold: bool = True, depth: int | None = None) -> Drawing:
    """The text of an SVG file that shows a network, from the input at the top to the output at the bottom.

    model        a Module; it is run once in eval mode on zeros, and is unchanged afterwards
    input_shape  of one input, without the batch axis: (3, 224, 224)
    fold         whether identical groups in a row are drawn once
    depth        the number of levels of groups that are opened; all by default
    The text is a `Drawing`: it saves itself, and shows itself in a notebook.
    Each box shows a layer's name, settings, output shape and number of parameters. Of boxes that touch, each reads the
    one above it and nothing else. Frames are modules. Raises ValueError for shapes that the network does not accept.
    """
    input_shape = tuple(input_shape)
    if depth is not None and depth < 0:
        raise ValueError(f"network: depth={depth} must be at least 0")
    graph = arrange(trace(model, input_shape), fold, depth)
    graph.root.name = ""
    name = getattr(model, "architecture", {}).get("name", type(model).__name__)
    return svg(graph, name, f"{sum(p.numel() for p in model.parameters()):,} parameters")


def svg(graph, head, below):
    """The SVG of an arranged graph, with the title `head` and the line `below` it."""
    labels, titles = labels_of(graph.root)
    title_widths = {group: line_width(*words) for group, words in titles.items()}
    layout = lay_out(graph, sizes_of(graph.root, labels), title_widths)
    kinds = [name for name in KINDS if any(kind(box) == name for box in layout.boxes)]
    width = 2 * MARGIN + max(layout.width, 1.8 * text_width(head), *(text_width(words, False) + 2
                                                                     for words in (below, NUMBERS)))
    key, lines = legend(kinds, width - 2 * MARGIN)
    height = layout.height + HEAD + 2 * MARGIN + ROW * lines
    shift = (width - layout.width) / 2
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
             f'viewBox="0 0 {width:.0f} {height:.0f}">',
             f"<title>{clean(head)}</title>",
             f"<style>{STYLE}</style>",
             ARROW,
             f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
             f'<text x="{MARGIN}" y="{MARGIN + 17}" class="head">{clean(cut(head))}</text>',
             text(MARGIN, MARGIN + 37, width - 2 * MARGIN, "", below),
             f'<g transform="translate({MARGIN} {MARGIN + HEAD})">{key}</g>',
             f'<g transform="translate({shift:.1f} {MARGIN + HEAD + ROW * lines})">']
    levels = levels_of(graph.root)
    parts += [frame(group, layout.groups[group], titles[group], levels[group]) for group in layout.groups]
    parts += [edge(points) for points in layout.routes.values()]
    parts += [drawn(box, layout.boxes[box], labels[box]) for box in layout.boxes]
    return Drawing("\n".join([*parts, "</g>", "</svg>", ""]))


def legend(kinds, width):
    """What the colours and the numbers mean, in lines of at most this width, and the number of lines."""
    parts, x, row = [], 0, 0
    for name in kinds:
        wide = 35 + text_width(KINDS[name], bold=False)
        if x and x + wide > width:
            x, row = 0, row + 1
        parts.append(rect(x, ROW * row + 1, 11, 11, 2, "", f' fill="{COLORS[name][1]}"'))
        parts.append(text(x + 17, ROW * row + 10, wide - 17, "", KINDS[name]))
        x += wide
    parts.append(text(0, ROW * (row + 1) + 10, width, "", NUMBERS))
    return "".join(parts), row + 2


def labels_of(root):
    """{box: its lines of text}, {group: (its name, its layer)}"""
    labels, titles = {}, {}
    for group in groups_in(root):
        for item in group.items:
            if isinstance(item, Group):
                row = f" … {inner_name(item.until, group)}" if item.times > 1 else ""
                times = f"{item.times} x " if item.times > 1 else ""
                titles[item] = inner_name(item.name, group) + row, times + item.layer
            else:
                labels |= {box: label(box, group, above)
                           for above, box in zip([None, *item.boxes[:-1]], item.boxes, strict=True)}
    return labels, titles


def label(box, group, above):
    """The one or two lines of a box: (bold, plain, right-aligned). `above` is the box it is stacked under, if any."""
    name, shape = inner_name(box.name, group), shape_text(box.shape)
    parameters = f"{box.parameters:,} params" if box.parameters else ""
    layer = (box.layer if box.name else "") + box.settings
    function = FUNCTIONS.get(box.layer, box.layer)
    if low(box):
        same = above is not None and above.shape == box.shape
        return [(name or function, layer, " · ".join(filter(None, [parameters, "" if same else shape])))]
    return [(name or function, "", shape), ("", layer, parameters)]


def low(box):
    """Whether a box has one line of text only."""
    return small(box) or kind(box) in ("join", "end")


def inner_name(name, group):
    """The dotted name of an item of a group, without the name of the group."""
    return name.removeprefix(group.name + ".") if group.name else name


def shape_text(shape):
    """64 x 112 x 112"""
    return " x ".join(map(str, shape))


def sizes_of(root, labels):
    """{box: (width, height)}; boxes directly in the same group have the same width."""
    sizes = {}
    for group in groups_in(root):
        boxes = [box for item in group.items if not isinstance(item, Group) for box in item.boxes]
        lines = [line for box in boxes for line in labels[box]]
        width = max([WIDTH, *(2 * PAD + 20 + line_width(bold, plain) + text_width(right, bold=False)
                              for bold, plain, right in lines)])
        sizes |= {box: (width, LOW if len(labels[box]) == 1 else TALL) for box in boxes}
    return sizes


def levels_of(root):
    """{group: the number of frames around it}"""
    levels = {root: -1}
    for group in reversed(groups_in(root)):
        levels |= {item: levels[group] + 1 for item in group.items if isinstance(item, Group)}
    return levels


def frame(group, place, title, level):
    """The frame of a group, with its title; two more drawn under it if it represents several groups."""
    left, top, width, height = place
    style = "frame deep" if level % 2 == 0 else "frame"
    under = [rect(left + by, top + by, width, height, 7, style) for by in (8, 4) if group.times > 1]
    words = text(left + PAD, top + 16, width - PAD, *title)
    tooltip = f"{group.name}: {group.layer}, {group.parameters:,} parameters"
    return f"<g><title>{clean(tooltip)}</title>{''.join(under)}{rect(left, top, width, height, 7, style)}{words}</g>"


def drawn(box, place, lines):
    """A box with its text, which its tooltip shows in full."""
    left, top, width, height = place
    fill, stripe = COLORS[kind(box)]
    parts = [rect(left, top, width, height, 3, "", f' fill="{fill}" stroke="#ffffff"'),
             rect(left, top, 4, height, 2, "", f' fill="{stripe}"')]
    for i, (bold, plain, right) in enumerate(lines):
        y = top + 15 + 16 * i + (2 if len(lines) > 1 else 0)
        room = text_width(right, bold=False) + 2
        parts.append(text(left + PAD + 2, y, width - 2 * PAD - 4 - (room + 8) * bool(right), bold, plain))
        parts.append(text(left + width - PAD, y, room, "", right, end=True))
    tooltip = f"{', '.join(box.layers) or box.name or 'a function'}: {' '.join(' '.join(line) for line in lines)}"
    return f'<g class="box {kind(box)}"><title>{clean(tooltip)}</title>{"".join(parts)}</g>'


def edge(points):
    """A path with rounded corners and an arrowhead at its end."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        (ax, ay), (bx, by) = (towards(corner, other) for other in (before, after))
        steps.append(f"L{ax:.1f} {ay:.1f} Q{corner[0]:.1f} {corner[1]:.1f} {bx:.1f} {by:.1f}")
    steps.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return f'<path class="edge" marker-end="url(#arrow)" d="{" ".join(steps)}"/>'


def towards(start, end, most=6):
    """The point on the horizontal or vertical line from `start` to `end` that is `most` away, or half-way if less."""
    (x, y), (ex, ey) = start, end
    length = abs(ex - x) + abs(ey - y)
    part = min(most, length / 2) / length
    return x + part * (ex - x), y + part * (ey - y)


def rect(left, top, width, height, corner, style, more=""):
    """A rectangle."""
    style = f' class="{style}"' if style else ""
    return (f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}"'
            f"{style}{more}/>")
