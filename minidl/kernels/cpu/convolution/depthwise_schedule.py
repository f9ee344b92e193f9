"""Which tile of the depthwise microkernel computes what: the tables that the kernels of `depthwise.py` follow.

An output row is cut into segments of up to 8 pixels, each with the widest tile shape that fits. For example, width 16,
a window of 3, stride 1 and padding 1 give two segments of 8 pixels with 3 taps, the first with its left neighbour cut
off, the second with its right one.

The weight gradient has a tile for each block of up to 3 x 3 taps, and as many output columns at once as fit.
"""

import itertools
from typing import NamedTuple

from minidl.kernels.cpu.convolution.tap_tables import TapRange, as_table, cached
from minidl.kernels.cpu.llvm.depthwise_microkernel import PIXEL_SHAPES, TAP_SHAPES


class Segment(NamedTuple):
    """Columns of an output row that one tile computes."""

    column: int         # the first
    tile_shape: int     # an index into PIXEL_SHAPES
    tap: int            # the window column from which the tile counts its taps
    rounds: int         # of taps per window row
    source: int         # the column of x under the first tap of the first column
    neighbour: int      # columns of x between those that the tile reads in one round


class TapTile(NamedTuple):
    """Taps of a weight gradient, and the output columns that one tile sums for them."""

    tile_shape: int     # an index into TAP_SHAPES
    ky: int             # the first tap
    kx: int
    ox: int             # the first output column
    source: int         # the column of x that it reads through the first tap that is not cut off
    rounds: int         # of output columns
    outputs: int        # per round


@cached
def row_segments(taps_of, axis, column_step, source_step, tap_step):
    """Cut a row into segments: a table of Segment.

    taps_of      `taps_per_output` or `taps_per_input`
    column_step  between the columns of a segment; those between have other taps, and segments of their own
    source_step  between the columns of x that these read;  tap_step: between those under neighbouring taps
    """
    columns = [TapRange(*row) for row in taps_of(axis).tolist()]
    segments = []
    for phase in range(column_step):
        waiting, column = columns[phase::column_step], phase
        while waiting:
            shape = next(s for s in PIXEL_SHAPES if fits(s, waiting[:s.places], source_step, tap_step))
            tap, count, source = waiting[0]
            rounds, neighbour = (count, source_step) if shape.taps == 1 else (1, 1)
            segments.append(Segment(column, PIXEL_SHAPES.index(shape), tap - shape.cut[0], rounds, source, neighbour))
            waiting = waiting[shape.places:]
            column += shape.places * column_step
    return as_table(segments, Segment)


def fits(shape, columns, source_step, tap_step):
    """Whether a tile of this shape computes these columns, given by their TapRanges."""
    if len(columns) < shape.places:
        return False
    first = columns[0]
    if shape.taps == 1:
        return all(column == first._replace(source=first.source + p * source_step) for p, column in enumerate(columns))
    return tap_step == 1 and source_step == shape.stride and all(
        column == taps_of_place(shape, p, first.source - shape.cut[0]) for p, column in enumerate(columns))


def taps_of_place(shape, place, source):
    """The TapRange of a column that a shape of several taps computes; its first neighbour would read `source`."""
    taps = [t for t in range(shape.taps) if place * shape.stride + t in shape.neighbours]
    return TapRange(taps[0], len(taps), source + place * shape.stride + taps[0])


@cached
def tap_schedule(kh, axis):
    """The tiles of a weight gradient: a table of TapTile.

    For each of `kh` rows of taps, each pair (kx, ox) that reads a column inside the image is in exactly one tile.
    """
    tiles = []
    for (ky, lines), (kx, places) in itertools.product(in_threes(kh), in_threes(axis.kernel)):
        ox = 0
        while ox < axis.out:
            source = ox * axis.stride + kx * axis.dilation - axis.pads[0]
            shape = next((s for s in TAP_SHAPES if s[:2] == (lines, places) and s.taps <= axis.out - ox
                          and reads(s, source, axis)), None)
            if shape is None:                                        # only padding lies there
                ox += 1
                continue
            tile = TapTile(TAP_SHAPES.index(shape), ky, kx, ox, source + shape.cut[0] * axis.dilation, 1, shape.taps)
            if tiles and tiles[-1][:3] == tile[:3] and not any(shape.cut):
                tiles[-1] = tiles[-1]._replace(rounds=tiles[-1].rounds + 1)
            else:
                tiles.append(tile)
            ox += shape.taps
    return as_table(tiles, TapTile)


def in_threes(taps):
    """`taps` cut into threes, and into ones where fewer are left: (first, count) pairs."""
    return [(t, 3) for t in range(0, taps - 2, 3)] + [(t, 1) for t in range(taps - taps % 3, taps)]


def reads(shape, source, axis):
    """Whether a tile of this shape reads exactly those columns from `source` on that lie inside the image."""
    columns = range(source, source + shape.span * axis.dilation, axis.dilation)
    inside = [i for i, column in enumerate(columns) if 0 <= column < axis.size]
    return inside == list(shape.neighbours) and (shape.taps == 1 or shape.step * axis.dilation == axis.stride)
