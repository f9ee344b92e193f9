"""The drawing of a network as SVG, a picture that every browser shows, written without any other program."""

from xml.sax.saxutils import escape

from minidl.plot.arrange import arrange, kind, small
from minidl.plot.graph import Group, groups_in, trace
from minidl.plot.layout import lay_out

TALL, LOW = 42, 22            # the height of a box with two lines, and with one
WIDTH, PAD = 176, 10          # the least width of a box; between its text and its sides
MARGIN, HEAD = 24, 58         # around the drawing; room for its title
LONGEST = 48                  # letters of a text that are shown
COLORS = {                    # by kind: the fill of a box, and the stripe on its left
    "convolution": ("#e4eefb", "#2f6fbe"),
    "dense": ("#ece6f8", "#6f4bb8"),
    "resize": ("#fdeedd", "#d9822b"),
    "norm": ("#eef3f1", "#6b9080"),
    "join": ("#fdf6d0", "#c9a400"),
    "end": ("#2d3a4a", "#2d3a4a"),
    "other": ("#f1f2f4", "#8a94a0"),
}
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


def network(model, input_shape, fold=True, depth=None):
    """The text of an SVG file that shows a network, from the input at the top to the output at the bottom.

    model        a Module; it is run once in the state of use, on zeros, and is as before afterwards
    input_shape  of one input, without the batch: (3, 224, 224)
    fold         whether groups in a row that are alike are drawn once
    depth        how many levels of groups are opened; all by default
    Each box tells the layer's name, settings, output shape and parameters; boxes that touch follow each other without
    anything between them. Frames are modules. Raises ValueError for shapes that the network does not take.
    """
    if depth is not None and depth < 0:
        raise ValueError(f"network: depth={depth} must be at least 0")
    graph = arrange(trace(model, input_shape), fold, depth)
    graph.root.name = ""
    parameters = f"{sum(p.size for p in model.parameters()):,} parameters"
    name = getattr(model, "architecture", {}).get("name", type(model).__name__)
    return svg(graph, name, f"{shape_text(input_shape)}, {parameters}")


def svg(graph, head, below):
    """The SVG of a graph that has been arranged, under a title of two lines."""
    labels, titles = labels_of(graph.root)
    title_widths = {group: text_width("  ".join(words)) for group, words in titles.items()}
    layout = lay_out(graph, sizes_of(graph.root, labels), title_widths)
    width = max(layout.width, 1.7 * text_width(head), text_width(below)) + 2 * MARGIN
    height = layout.height + HEAD + 2 * MARGIN
    shift = (width - layout.width) / 2
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
             f'viewBox="0 0 {width:.0f} {height:.0f}">',
             f"<title>{clean(head)}</title>",
             f"<style>{STYLE}</style>",
             ARROW,
             f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
             f'<text x="{MARGIN}" y="{MARGIN + 17}" class="head">{clean(cut(head))}</text>',
             text(MARGIN, MARGIN + 37, "", below),
             f'<g transform="translate({shift:.1f} {MARGIN + HEAD})">']
    levels = levels_of(graph.root)
    parts += [frame(group, layout.groups[group], titles[group], levels[group]) for group in layout.groups]
    parts += [edge(points) for points in layout.routes.values()]
    parts += [drawn(box, layout.boxes[box], labels[box]) for box in layout.boxes]
    return "\n".join([*parts, "</g>", "</svg>", ""])


def labels_of(root):
    """{box: its texts (left, right) in one line or two}, {group: its name, and its kind}."""
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
    """The texts of a box: lines of (bold, plain, right). `above` is the box that it hangs on, if any."""
    name, shape = inner_name(box.name, group), shape_text(box.shape)
    parameters = f"{box.parameters:,}" if box.parameters else ""
    told = (box.layer if box.name else "") + box.settings
    if low(box):
        same = above is not None and above.shape == box.shape
        return [(name or box.layer, told, " · ".join(filter(None, [parameters, "" if same else shape])))]
    return [(name or box.layer, "", shape), ("", told, parameters)]


def low(box):
    """Whether a box has one line only."""
    return small(box) or kind(box) in ("join", "end")


def inner_name(name, group):
    """The dotted name of what lies in a group, without the group's own."""
    return name.removeprefix(group.name + ".") if group.name else name


def shape_text(shape):
    """64 x 112 x 112"""
    return " x ".join(map(str, shape))


def sizes_of(root, labels):
    """{box: (width, height)}; boxes right in the same group are equally wide."""
    sizes = {}
    for group in groups_in(root):
        boxes = [box for item in group.items if not isinstance(item, Group) for box in item.boxes]
        lines = [line for box in boxes for line in labels[box]]
        width = max([WIDTH, *(2 * PAD + 12 + sum(map(text_width, line)) for line in lines)])
        sizes |= {box: (width, LOW if len(labels[box]) == 1 else TALL) for box in boxes}
    return sizes


def levels_of(root):
    """{group: how many frames are around it}"""
    levels = {root: -1}
    for group in reversed(groups_in(root)):
        levels |= {item: levels[group] + 1 for item in group.items if isinstance(item, Group)}
    return levels


def frame(group, place, title, level):
    """The frame of a group, with its title; two more behind it if it stands for several."""
    left, top, width, height = place
    style = "frame deep" if level % 2 == 0 else "frame"
    behind = [rect(left + by, top + by, width, height, 7, style) for by in (8, 4) if group.times > 1]
    words = text(left + PAD, top + 16, *title)
    told = f"{group.name}: {group.layer}, {group.parameters:,} parameters"
    return f"<g><title>{clean(told)}</title>{''.join(behind)}{rect(left, top, width, height, 7, style)}{words}</g>"


def drawn(box, place, lines):
    """A box with its texts; pointing at it shows all of them in full."""
    left, top, width, height = place
    fill, stripe = COLORS[kind(box)]
    parts = [rect(left, top, width, height, 3, "", f' fill="{fill}" stroke="#ffffff"'),
             rect(left, top, 4, height, 2, "", f' fill="{stripe}"')]
    for i, (bold, plain, right) in enumerate(lines):
        y = top + 15 + 16 * i + (2 if len(lines) > 1 else 0)
        parts.append(text(left + PAD + 2, y, bold, plain))
        parts.append(text(left + width - PAD, y, "", right, ' text-anchor="end"'))
    told = f"{', '.join(box.layers) or box.name or 'a function'}: {' '.join(' '.join(line) for line in lines)}"
    return f'<g class="box {kind(box)}"><title>{clean(told)}</title>{"".join(parts)}</g>'


def edge(points):
    """A way with round corners and an arrow at its end."""
    steps = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, behind in zip(points, points[1:], points[2:], strict=False):
        (ax, ay), (bx, by) = (towards(corner, other) for other in (before, behind))
        steps.append(f"L{ax:.1f} {ay:.1f} Q{corner[0]:.1f} {corner[1]:.1f} {bx:.1f} {by:.1f}")
    steps.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return f'<path class="edge" marker-end="url(#arrow)" d="{" ".join(steps)}"/>'


def towards(start, end, most=6):
    """The point on the level or upright line from `start` to `end` that is `most` away, or half-way."""
    (x, y), (ex, ey) = start, end
    length = abs(ex - x) + abs(ey - y)
    part = min(most, length / 2) / length
    return x + part * (ex - x), y + part * (ey - y)


def rect(left, top, width, height, corner, style, more=""):
    """A rectangle."""
    style = f' class="{style}"' if style else ""
    return (f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}"'
            f"{style}{more}/>")


def text(x, y, bold, plain, more=""):
    """A line of text, of which the first words are bold; nothing if there is none."""
    parts = [f'<tspan class="{style}">{clean(cut(words))}</tspan>'
             for words, style in ((bold, "name"), (plain, "soft")) if words]
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{" ".join(parts)}</text>' if parts else ""


def cut(words):
    """Not more than LONGEST letters."""
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def clean(words):
    """Text as XML may hold it: what would be markup is escaped, what no XML may hold becomes a question mark."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in words))


def text_width(words):
    """About how many pixels a text of 11 pixels takes, in bold letters of Helvetica."""
    words = cut(words)
    narrow, wide = (sum(letter in letters for letter in words) for letters in ("fijltI.,:;'|!()[] ", "mwMW@%…"))
    foreign = sum(ord(letter) > 0x2FFF for letter in words)
    return 6.5 * (len(words) - narrow - wide - foreign) + 3.4 * narrow + 9.6 * wide + 11 * foreign
