"""A graph simplified for drawing, without changing what it shows.

Small operations are stacked under the layer before them; groups with a single item are dissolved; identical groups in a
row become one, drawn once; groups that are nested too deeply, or have too many branches for a page, become boxes.
"""

from minidl.plot.graph import Box, Graph, Group, Stack, boxes_in, groups_in, links_in, ranks_of

MAX_BRANCHES = 8              # a group with more of them side by side is drawn as one box
KINDS = {"conv": "convolution", "linear": "dense", "matmul": "dense", "pool": "resize", "upsample": "resize",
         "interpolate": "resize", "norm": "norm", "cat": "join", "add": "join", "stack": "join"}


def arrange(graph, fold=True, depth=None):
    """The simplified Graph, in which every box is in a Stack.

    fold   whether identical groups in a row become one
    depth  the number of levels of groups that are kept; all by default
    """
    root, edges = graph.root, graph.edges
    edges = close(root, edges, depth)
    glue(root, edges)
    dissolve(root)
    return Graph(root, fold_rows(root, edges) if fold else edges)


def kind(box):
    """The kind of a box, which decides its colour: that of the first word of KINDS in its layer's name, or "other"."""
    if not box.layer:
        return "end"                                 # the input, or an output
    return next((kind for word, kind in KINDS.items() if word in box.layer.lower()), "other")


def close(root, edges, depth):
    """Replace groups in `root` that are too deep or too broad by boxes; returns the edges between what remains."""
    place = {}

    def visit(group, level):
        for i, item in enumerate(group.items):
            if isinstance(item, Group):
                if level == depth or broad(item, edges):
                    group.items[i] = closed(item)
                    place.update(dict.fromkeys(boxes_in(item), group.items[i]))
                else:
                    visit(item, level + 1)

    visit(root, 0)
    return rewired(edges, place)


def broad(group, edges):
    """Whether a group has more than MAX_BRANCHES items side by side."""
    ranks = list(ranks_of(group.items, links_in(group, edges)).values())
    return max(map(ranks.count, ranks)) > MAX_BRANCHES


def closed(group):
    """One Box for a group; its shape is that of the group's last box."""
    boxes = boxes_in(group)
    layers = [name for box in boxes for name in box.layers]
    return Box(group.name, group.layer, f" of {len(layers)} layers", boxes[-1].shape, group.parameters, layers)


def rewired(edges, place):
    """The edges, with each box in `place` replaced by the box it maps to."""
    replaced = {(place.get(above, above), place.get(below, below)): None for above, below in edges}
    return [(above, below) for above, below in replaced if above is not below]


def glue(group, edges):
    """Put all boxes into stacks: a small box joins the only box it reads, unless others read that, too."""
    read, readers = {}, {}
    for above, below in edges:
        read.setdefault(below, []).append(above)
        readers.setdefault(above, []).append(below)
    for inner in groups_in(group):
        stacks = {}                                  # by their last box
        for item in inner.items:
            above = read.get(item, [])
            if len(above) == 1 and above[0] in stacks and small(item) and len(readers[above[0]]) == 1:
                stacks[item] = stacks.pop(above[0])
                stacks[item].boxes.append(item)
            elif isinstance(item, Box):
                stacks[item] = Stack([item])
        first = {stack.boxes[0]: stack for stack in stacks.values()}
        inner.items = [first.get(item, item) for item in inner.items if item in first or isinstance(item, Group)]


def small(box):
    """Whether a box may be stacked below another: a norm, or any other layer without weights that does not resize."""
    return kind(box) == "norm" or (kind(box) in ("other", "join") and not box.parameters)


def dissolve(group):
    """Remove the groups that hold a single item."""
    for inner in groups_in(group):
        for i, item in enumerate(inner.items):
            if isinstance(item, Group) and len(item.items) == 1:
                [only] = item.items
                if isinstance(only, Group):
                    item.items = only.items
                else:
                    inner.items[i] = only


def fold_rows(root, edges):
    """Merge identical groups that follow each other; returns the edges between what remains."""
    for group in groups_in(root):
        links = links_in(group, edges)
        rows = []
        for item in group.items:
            if rows and follows(rows[-1][-1], item, links) and likeness(rows[-1][-1], edges) == likeness(item, edges):
                rows[-1].append(item)
            else:
                rows.append([item])
        group.items = [row[0] for row in rows]
        for first, *rest in rows:
            if rest:
                edges = merged(first, rest, edges)
    return edges


def follows(above, below, links):
    """Whether two groups follow each other: the second reads the first alone, and nothing else reads that."""
    touching = [link[:2] for link in links if link[0] is above or link[1] is below]
    return isinstance(above, Group) and isinstance(below, Group) and set(touching) == {(above, below)}


def likeness(item, edges):
    """What two groups must share to be drawn as one: layers, settings, shapes and connections."""
    boxes = boxes_in(item)
    number = {box: i for i, box in enumerate(boxes)}
    links = {(number.get(above), number.get(below)) for above, below in edges if above in number or below in number}
    return [(box.layer, box.settings, box.shape, box.parameters, len(box.layers)) for box in boxes], links


def merged(first, rest, edges):
    """Let `first` represent the groups after it as well; returns the edges between what remains."""
    boxes = boxes_in(first)
    first.times, first.until = 1 + len(rest), rest[-1].name
    place = {}
    for group in rest:
        first.parameters += group.parameters
        for box, copy in zip(boxes, boxes_in(group), strict=True):
            box.layers.extend(copy.layers)
            place[copy] = box
    order = {box: i for i, box in enumerate(boxes)}
    return [(above, below) for above, below in rewired(edges, place)
            if not (above in order and below in order and order[above] >= order[below])]
