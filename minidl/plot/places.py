"""What all layouts share: distances, the Plan of a group, and where edges enter and leave its items."""

from dataclasses import dataclass, field

from minidl.plot.graph import Box, Group

GAP, TRACK = 26, 9            # the height of a gap between rows; the distance between two horizontal pieces in it
ASIDE, LANE = 24, 16          # the distances between columns, and between vertical pieces at the right


@dataclass(eq=False)
class Port:
    """Where the output of the box `source` crosses the top of a group, or, if `below`, its bottom."""

    source: Box
    below: bool


@dataclass(eq=False)
class Plan:
    """The layout of a group.

    left, right, height   its extents to both sides of its main column, and downwards
    x, y                  {item: number} the middle of the top of each stack, group and port
    routes                {(item, item, source): points} the route of each link
    """

    left: float = 0
    right: float = 0
    height: float = 0
    x: dict = field(default_factory=dict)
    y: dict = field(default_factory=dict)
    routes: dict = field(default_factory=dict)


def extent(item, sizes, plans):
    """The extents of an item: to the left and right of its middle, and downwards."""
    if isinstance(item, Port):
        return 0, 0, 0
    if isinstance(item, Group):
        return plans[item].left, plans[item].right, plans[item].height
    half = sizes[item.boxes[0]][0] / 2
    return half, half, sum(sizes[box][1] for box in item.boxes)


def port_x(item, source, below, plans):
    """The x, relative to an item's middle, at which the output of the box `source` leaves or enters the item."""
    if not isinstance(item, Group):
        return 0
    return next(x for port, x in plans[item].x.items()
                if isinstance(port, Port) and port.source is source and port.below is below)
