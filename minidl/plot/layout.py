"""The layout of the drawing of a network: positions of boxes and frames, and routes of edges.

Each group is laid out by itself, inner ones first. Its stacks and groups are placed in rows, by their distance from the
group's entry, and in columns: an item continues the column of an item that it reads, unless another one does already.
The main column is at x = 0, so a group has an extent to its left and one to its right; y grows downwards from its top.
Edges leave items at the bottom and enter them at the top. An edge that passes rows runs straight down where nothing is
in its way, and otherwise to the right of all items; horizontal pieces run in the gaps between rows, on separate tracks
where they would overlap. So no edge crosses a box. A network with nested skips becomes a U: see `bent.py`.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass

from minidl.plot.bent import bent
from minidl.plot.graph import Group, boxes_in, groups_in, links_in, ranks_of
from minidl.plot.places import ASIDE, GAP, LANE, TRACK, Plan, Port, extent, port_x

FRAME, TITLE = 14, 16         # the distance between a group's content and its frame; the height of its title


@dataclass(eq=False)
class Layout:
    """The layout of a graph.

    width, height   of the whole drawing
    boxes, groups   {box or group: (left, top, width, height)}; the outermost group has no place
    routes          {(box, box): points} for every edge but those between boxes that touch
    """

    width: float
    height: float
    boxes: dict
    groups: dict
    routes: dict


def lay_out(graph, sizes, titles):
    """The Layout of a graph, given {box: (width, height)} in `sizes` and {group: width of its title} in `titles`."""
    plans = {}
    for group in groups_in(graph.root):
        as_u = bent(group, graph.edges, sizes, plans) if group is graph.root else None
        plans[group] = as_u or plan(group, graph.edges, sizes, plans, titles.get(group))
    whole = plans[graph.root]
    layout = Layout(whole.left + whole.right, whole.height, {}, {}, {})
    origins = {graph.root: (whole.left, 0)}
    for group in reversed(groups_in(graph.root)):                    # the outer ones first
        left, top = origins[group]
        for item in group.items:
            x, y = left + plans[group].x[item], top + plans[group].y[item]
            if isinstance(item, Group):
                origins[item] = x, y
                inner = plans[item]
                layout.groups[item] = x - inner.left, y, inner.left + inner.right, inner.height
            else:
                for box in item.boxes:
                    width, height = sizes[box]
                    layout.boxes[box] = x - width / 2, y, width, height
                    y += height
    for above, below in graph.edges:
        if points := corners(route(graph.root, above, below, plans, origins)):
            layout.routes[above, below] = points
    return layout


def route(group, above, below, plans, origins):
    """The points from one box to another inside a group; the route begins or ends at a port if a box is outside."""
    if group is None:
        return []
    start, end = (next((item for item in group.items if box in boxes_in(item)), None) for box in (above, below))
    inside = [item if isinstance(item, Group) else None for item in (start, end)]
    if start is end:
        return route(inside[0], above, below, plans, origins)
    x, y = origins[group]
    routes = plans[group].routes
    here = [(x + px, y + py) for px, py in routes.get((start, end, above), ())]
    return route(inside[0], above, below, plans, origins) + here + route(inside[1], above, below, plans, origins)


def corners(points):
    """The points at which a route changes direction, and its ends."""
    kept = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        if len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == point[axis] for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept


def plan(group, edges, sizes, plans, title):
    """The Plan of a group whose inner groups have plans. `title` is the width of its title, None for no frame."""
    links, entries, exits = with_ports(group, edges)
    items = [*entries, *group.items, *exits]
    ranks = ranks_of(items, links)
    ranks.update(dict.fromkeys(exits, max(ranks[item] for item in group.items) + 1))
    rows = [[item for item in items if ranks[item] == rank] for rank in range(max(ranks.values()) + 1)]
    extents = {item: extent(item, sizes, plans) for item in items}
    x = positions_in_rows(rows, ranks, links, extents)
    ends = {link: (x[link[0]] + port_x(link[0], link[2], True, plans),
                   x[link[1]] + port_x(link[1], link[2], False, plans)) for link in links}
    lanes = lanes_of(ends, ranks, rows, x, extents)
    tracks = tracks_of(ends, lanes, ranks)
    y, level, height = heights(rows, extents, tracks, title is not None, bool(exits))
    result = Plan(x=x, y=y, height=height)
    frame = 0 if title is None else FRAME
    result.left = frame - min([x[item] - extents[item][0] for item in items] + list(lanes.values()))
    result.right = frame + max([x[item] + extents[item][1] for item in items] + list(lanes.values()))
    if title is not None:
        result.left = max(result.left, title + FRAME)                # the main column passes beside the title
    for link, (start, end) in ends.items():
        above, below, _ = link
        points = [(start, y[above] + extents[above][2])]
        if lanes[link] != start:
            out = level[above, start, ranks[above]]
            points += [(start, out), (lanes[link], out)]
        if lanes[link] != end:
            into = level[below, end, ranks[below] - 1]
            points += [(lanes[link], into), (end, into)]
        result.routes[links[link]] = [*points, (end, y[below])]
    return result


def with_ports(group, edges):
    """{link with ports for boxes outside: link of the group}, the ports at the top, and those at the bottom."""
    ports, links = {}, {}
    for start, end, source in links_in(group, edges):
        above = start or ports.setdefault((source, False), Port(source, False))
        below = end or ports.setdefault((source, True), Port(source, True))
        links[above, below, source] = start, end, source
    entries, exits = ([port for port in ports.values() if port.below is below] for below in (False, True))
    return links, entries, exits


def heights(rows, extents, tracks, framed, leaves):
    """{item: y of its top}, {(item, x, rank): y of a horizontal piece}, and the total height."""
    tops, level, y = {}, {}, 0
    for rank, row in enumerate(rows):
        tops.update(dict.fromkeys(row, y))
        y += max(extents[item][2] for item in row)
        if framed and rank == 0:
            y += TITLE if tracks[rank] else TITLE / 2
        for (item, x), number in tracks[rank].items():
            level[item, x, rank] = y + 0.4 * GAP + number * TRACK
        if tracks[rank] or rank < len(rows) - 2 or (rank == len(rows) - 2 and not leaves):
            y += GAP + TRACK * max([0, *tracks[rank].values()])
        elif rank == len(rows) - 2:
            y += FRAME
    return tops, level, y


def positions_in_rows(rows, ranks, links, extents):
    """{item: x}, from the column of each item, and the widths of columns where there are several."""
    column, last = columns_of(rows, ranks, links)
    x = dict.fromkeys(column, 0)
    aside = [any(column[item] and ranks[item] <= rank <= last[item] for item in column) for rank in range(len(rows))]
    for several, run in itertools.groupby(range(len(rows)), key=aside.__getitem__):
        run = list(run)
        if not several:
            continue
        present = [item for item in column if ranks[item] in run]
        at, edge = {}, None
        for number in sorted({column[item] for item in present}):
            mine = [item for item in present if column[item] == number]
            at[number] = 0 if edge is None else edge + ASIDE + max(extents[item][0] for item in mine)
            edge = at[number] + max(extents[item][1] for item in mine)
        before, after = ([row for rank, row in enumerate(rows) if rank == near] for near in (run[0] - 1, run[-1] + 1))
        split = before and after and len(before[0]) == len(after[0]) == 1
        middle = (min(at.values()) + max(at.values())) / 2 if split else 0
        x.update({item: at[column[item]] - middle for item in present})
    return x


def columns_of(rows, ranks, links):
    """{item: its column, from 0}, {item: the last row for which the column is reserved for its output}."""
    read, readers = defaultdict(list), defaultdict(list)
    for above, below, _ in links:
        read[below].append(above)
        readers[above].append(below)
    ahead = ranks_of([item for row in reversed(rows) for item in row], [(b, a, s) for a, b, s in links])
    column, last, until = {}, {}, defaultdict(lambda: -1)
    for rank, row in enumerate(rows):
        for item in sorted(row, key=lambda item: -ahead[item]) if len(row) == 2 else row:    # of two, the longer first
            heirs = [above for above in read[item] if above not in last]
            if heirs:
                above = min(heirs, key=column.get)
                column[item], last[above] = column[above], rank - 1
            else:
                taken = {column.get(other) for other in row}
                column[item] = next(c for c in itertools.count() if until[c] < rank and c not in taken)
            until[column[item]] = max([rank, *(ranks[reader] for reader in readers[item])])
    for item in column:
        last.setdefault(item, max([ranks[item], *(ranks[reader] - 1 for reader in readers[item])]))
    return column, last


def lanes_of(ends, ranks, rows, x, extents):
    """{link: the x of its vertical piece}; short links are placed first."""
    arriving = defaultdict(set)
    for link, (start, end) in ends.items():
        arriving[link[1], end].add(start)
    lanes, taken = {}, []                            # taken: (x, first row, last row)
    for link in sorted(ends, key=lambda link: ranks[link[1]] - ranks[link[0]]):
        start, end = ends[link]
        first, last = ranks[link[0]] + 1, ranks[link[1]] - 1
        if first > last:
            lanes[link] = start if len(arriving[link[1], end]) > 1 else end
            continue
        blocks = [(x[item] - extents[item][0], x[item] + extents[item][1])
                  for row in rows[first : last + 1] for item in row]
        blocks += [(lane, lane) for lane, top, bottom in taken if top <= last + 1 and first <= bottom + 1]
        blocks += [(a, a) for (item, _, _), (a, _) in ends.items() if ranks[item] == first - 1 and item is not link[0]]
        blocks += [(b, b) for (_, item, _), (_, b) in ends.items() if ranks[item] == last + 1 and item is not link[1]]
        right = max(edge for _, edge in blocks) + LANE
        free = (lane for lane in (start, end) if all(lane <= a - LANE / 2 or lane >= b + LANE / 2 for a, b in blocks))
        lanes[link] = next(free, right)
        taken.append((lanes[link], first, last))
    return lanes


def tracks_of(ends, lanes, ranks):
    """For each row {(item, x): track}: the horizontal pieces in the gap below it, with tracks numbered from the top.

    Pieces that leave an item at x are above those that arrive at one, and pieces that overlap are below each other.
    Where one comes down at the x at which another continues downwards, it is above the other, so that they do not meet.
    """
    spans = defaultdict(lambda: defaultdict(set))    # (rank, whether it arrives): {(item, x): its lanes}
    for link, (start, end) in ends.items():
        if lanes[link] != start:
            spans[ranks[link[0]], False][link[0], start].add(lanes[link])
        if lanes[link] != end:
            spans[ranks[link[1]] - 1, True][link[1], end].add(lanes[link])
    tracks = defaultdict(dict)
    for (rank, arriving), found in sorted(spans.items(), key=lambda entry: entry[0]):
        def over(one, other, arriving=arriving, found=found):
            return other[1] in found[one] if arriving else one[1] in found[other]

        lowest, placed, waiting = 1 + max(tracks[rank].values(), default=-1), {}, list(found)
        while waiting:
            free = (key for key in waiting if not any(over(other, key) for other in waiting if other is not key))
            key = next(free, waiting[0])
            waiting.remove(key)
            start, end = min(key[1], *found[key]), max(key[1], *found[key])
            number = max((placed[other][0] + 1 for other in placed if over(other, key)), default=0)
            while any(number == n and a <= end and start <= b for n, a, b in placed.values()):
                number += 1
            placed[key] = number, start, end
            tracks[rank][key] = lowest + number
    return tracks
