"""The layout of networks that go down and up again with connections across, such as U-Net: as a U.

The items of the outermost group are a chain, and its skips are nested: the first item that is read again later is read
last, and so on. The chain down to the innermost skip is the left arm, what reads the skips is the right arm, and the
rest is at the bottom. The target of a skip is just below its source, so that the skip runs straight across. Within an
arm data flow downwards; from a level of the right arm to the one above, along a lane at the right.
"""

import itertools
from typing import NamedTuple

from minidl.plot.graph import Group, links_in
from minidl.plot.places import ASIDE, GAP, LANE, TRACK, Plan, extent, port_x

ROOM = GAP + 2 * TRACK                           # the height of a gap with two horizontal pieces
OUT = 0.4 * GAP                                  # from an item down to the first, and from the last to an item


class Arms(NamedTuple):
    """The items of the left arm, those at the bottom, and the skips, the outermost first, as pairs of positions."""

    left: list
    bottom: list
    skips: list


def arms_of(group: Group, edges) -> Arms | None:
    """The arms of a group; None if it is no U."""
    position = {item: i for i, item in enumerate(group.items)}
    pairs = {(position[above], position[below]) for above, below, _ in links_in(group, edges)}
    chain = set(itertools.pairwise(range(len(group.items))))
    skips = sorted(pairs - chain)
    nested = all(one[1] > other[1] for one, other in itertools.pairwise(skips))
    sources, targets = {i for i, _ in skips}, {j for _, j in skips}
    if len(skips) < 2 or not chain <= pairs or not nested or len(sources) < len(skips) or max(sources) > min(targets):
        return None
    turn = skips[-1][0] + 2                      # after the innermost source and what follows it, its pooling
    if turn >= skips[-1][1]:
        return None
    return Arms(group.items[:turn], group.items[turn:skips[-1][1]], skips)


def bent(group: Group, edges, sizes, plans) -> Plan | None:
    """The Plan of a group as a U; None if it is none."""
    arms = arms_of(group, edges)
    if arms is None:
        return None
    items, skips = group.items, arms.skips
    size = {item: extent(item, sizes, plans) for item in items}
    right = items[skips[-1][1]:]
    columns = columns_at([arms.left, arms.bottom, right], size)
    plan = Plan(x={item: x for column, (x, _) in zip((arms.left, arms.bottom, right), columns, strict=True)
                   for item in column})
    lanes = [columns[1][1] + ASIDE, *(columns[2][1] + LANE * (1 + level % 2) for level in range(1, len(skips)))]
    set_heights(plan, items, arms, size)
    for above, below, source in links_in(group, edges):
        start = plan.x[above] + port_x(above, source, True, plans), plan.y[above] + size[above][2]
        end = plan.x[below] + port_x(below, source, False, plans), plan.y[below]
        lane = None
        if below in right and plan.y[below] < start[1]:              # up, to the level above
            level = next(i for i, (_, target) in enumerate(skips) if items[target] is below)
            lane = lanes[0] if above in arms.bottom else lanes[level + 1]
        plan.routes[above, below, source] = path(start, end, lane)
    plan.left = max(size[item][0] for item in arms.left)
    plan.right = columns[2][1] + LANE * 3
    plan.height = max(plan.y[item] + size[item][2] for item in items)
    return plan


def columns_at(columns, size):
    """[(the x of its middle, of its right end)] of columns beside one another; the first is at 0."""
    places, edge = [], None
    for column in columns:
        x = 0 if edge is None else edge + 2 * ASIDE + max(size[item][0] for item in column)
        edge = x + max(size[item][1] for item in column)
        places.append((x, edge))
    return places


def set_heights(plan, items, arms, size):
    """Set plan.y: the left arm from the top, each level of the right arm below the source of its skip, the bottom."""
    y, first, below, last = 0.0, 0, 0.0, len(items)
    for source, target in arms.skips:
        for item in items[first:source]:
            plan.y[item] = y
            y += size[item][2] + GAP
        plan.y[items[source]] = max(y, below - size[items[source]][2])
        y = plan.y[items[source]] + size[items[source]][2] + ROOM
        below = y
        for item in items[target:last]:
            plan.y[item] = below
            below += size[item][2] + GAP
        first, last = source + 1, target
    for item in [*items[first:len(arms.left)], *arms.bottom]:
        plan.y[item] = y
        y += size[item][2] + GAP


def path(start, end, lane):
    """The points of a route: straight or with one bend in a gap, or by a vertical lane."""
    (x, y), (to_x, to_y) = start, end
    if lane is None:
        return [start, end] if x == to_x else [start, (x, y + OUT), (to_x, y + OUT), end]
    return [start, (x, y + OUT), (lane, y + OUT), (lane, to_y - OUT), (to_x, to_y - OUT), end]
