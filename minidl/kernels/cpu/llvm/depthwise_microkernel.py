"""The depthwise microkernel: one vector of channels, a few sums at once, each kept in a register.

In a depthwise convolution every channel has a filter of its own, so a vector of neighbouring channels goes through all
the arithmetic together. Where x and w stand for such vectors, the tile computes

    out[l, p] = start + sum over n, a, b, j of x[n, a, b; l, p * stride + j] * w[n, a, b; j]

for a few lines l and places p. One round, for 1 line, 4 places and 3 taps of stride 1 (each letter is a vector):

    x, neighbouring pixels     x0   x1   x2   x3   x4   x5        6 loads of x and 3 of w for 12 fused multiply-adds
    out[0] += w0 w1 w2 * x     x0   x1   x2
    out[1]                          x1   x2   x3
    out[2]                               x2   x3   x4
    out[3]                                    x3   x4   x5        cut = (1, 0) leaves x0 out: it is beside the image

One tile serves a convolution and both its gradients, because each index has a stride of its own in x and in w. For a
convolution, places are output pixels, w is the weight, and the loops run over the taps of the window. For the gradient
by the weight, lines and places are taps, w is the output's gradient, and the loops run over images and their pixels.
"""

import functools
import itertools
from typing import NamedTuple

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import (
    Vectors,
    each_case,
    each_vector,
    offset,
    opaque,
    pointer_loop,
    prefetch,
    unpack,
)


class TileShape(NamedTuple):
    """`lines` times `places` sums, and `taps` vectors of w in one round of the loops.

    Tap j of place p reads the neighbour p * stride + j * step of x. The first cut[0] and the last cut[1] neighbours lie
    outside the image.
    """

    lines: int
    places: int
    taps: int = 1
    stride: int = 1
    step: int = 1
    cut: tuple = (0, 0)

    @property
    def span(self):
        """The number of neighbours, inside the image or not."""
        return (self.places - 1) * self.stride + (self.taps - 1) * self.step + 1

    @property
    def neighbours(self):
        """Those inside the image."""
        return range(self.cut[0], self.span - self.cut[1])


ENDS = (0, 0), (1, 0), (0, 1), (1, 1)
# Pixels of an output row: with three taps at once where windows have three columns, else tap by tap. The widest come
# first.
PIXEL_SHAPES = [
    *(TileShape(1, places, 3, 1, 1, cut) for places in (8, 4, 2) for cut in ENDS),
    *(TileShape(1, places, 3, 2, 1, cut) for places in (8, 4, 2) for cut in ENDS[:2]),
    *(TileShape(1, places) for places in (8, 4, 2, 1)),
]
# Taps of a window: three by three, for four pixels of the gradient at once, and fewer at the ends of its rows
# and columns. Where a single pixel is read, two of three taps may lie outside the image.
TAP_SHAPES = [
    *(TileShape(3, 3, 4, 1, step, cut) for step in (1, 2) for cut in ENDS),
    *(TileShape(lines, 3, cut=cut) for lines in (3, 1) for cut in (*ENDS, (2, 0), (0, 2))),
    TileShape(3, 1), TileShape(1, 1),
]


class Addresses(NamedTuple):
    """The first vectors of x, w and out, and the one from which the first sum starts."""

    x: int
    w: int
    out: int
    start: int


class Loop(NamedTuple):
    """Rounds of the three loops. Shapes of several taps take a row of them in one round."""

    images: int
    rows: int
    columns: int


class XStrides(NamedTuple):
    """Bytes in x from round to round of each loop, from line to line, and from neighbour to neighbour."""

    image: int
    row: int
    column: int
    line: int
    neighbour: int


class WStrides(NamedTuple):
    """Bytes in w from round to round of each loop, and from tap to tap."""

    image: int
    row: int
    column: int
    tap: int


class OutStrides(NamedTuple):
    """Bytes in out, or in start, from line to line and from place to place."""

    line: int
    place: int


class Strides(NamedTuple):
    """All strides of a tile."""

    x: XStrides
    w: WStrides
    out: OutStrides
    start: OutStrides


class Ahead(NamedTuple):
    """Bytes from a vector of x, and of w, to one that will be read soon, and is prefetched."""

    x: int
    w: int


class RowBounds(NamedTuple):
    """Which rows of x exist: line l of round a reads row  first + a * step + l * line_step,  if 0 <= row < count."""

    first: int
    step: int
    line_step: int
    count: int


def make_tile(shapes):
    """The intrinsic for a tile of any of these shapes.

    tile(like, shape, at, loop, strides, ahead, bounds, channels, relu)
    like      any array of the element type
    shape     an index into `shapes`
    at        Addresses;  loop: Loop;  strides: Strides;  ahead: Ahead;  bounds: RowBounds
    channels  the number of channels, which are computed a vector at a time
    relu      1: the results become max(result, 0); 0: they are unchanged
    """
    @intrinsic
    def tile(typingctx, like, shape, at, loop, strides, ahead, bounds, channels, relu):
        def generate(context, builder, signature, values):
            element = context.get_data_type(signature.args[0].dtype)
            _, shape, *_, channels, relu = values
            at, *rest = [unpack(context, builder, signature.args[i], values[i]) for i in range(2, 7)]
            for case in each_case(builder, shape, shapes):
                each_vector(builder, element, channels, at, [element] * 4,
                            functools.partial(emit, builder, element, case, *rest, relu))
            return context.get_dummy_value()
        return types.void(like, types.int64, at, loop, strides, ahead, bounds, types.int64, types.int64), generate

    return tile


def emit(builder, element, shape, loop, strides, ahead, bounds, relu, count, x, w, out, start):
    """Write the instructions of one shape for one vector; of `count` channels, if fewer than a vector holds."""
    lines, places, taps = shape[:3]
    vectors = Vectors(builder, element, count)

    cells = [(line, p) for line in range(lines) for p in range(places)]
    sums = {cell: cgutils.alloca_once(builder, vectors.type) for cell in cells}      # LLVM promotes them to registers
    targets = {(line, p): offset(builder, out, (line, strides.out.line), (p, strides.out.place)) for line, p in cells}
    for line, p in cells:
        first = offset(builder, start, (line, strides.start.line), (p, strides.start.place))
        builder.store(vectors.load(first), sums[line, p])

    with (pointer_loop(builder, loop.images, (x, w), (strides.x.image, strides.w.image)) as (x_image, w_image),
          pointer_loop(builder, loop.rows, (x_image, w_image, bounds.first),
                       (strides.x.row, strides.w.row, bounds.step)) as (x_row, w_row, row),
          pointer_loop(builder, loop.columns, (x_row, w_row), (strides.x.column, strides.w.column)) as column):
        x_here, w_here = [opaque(builder, address) for address in column]
        weights = [vectors.load(offset(builder, w_here, (j, strides.w.tap))) for j in range(taps)]
        for j in range(taps):
            prefetch(builder, offset(builder, w_here, (j, strides.w.tap), (1, ahead.w)))
        for line in range(lines):
            inside = builder.icmp_unsigned("<", offset(builder, row, (line, bounds.line_step)), bounds.count)
            with builder.if_then(inside, likely=True):
                at = {i: offset(builder, x_here, (line, strides.x.line), (i - shape.cut[0], strides.x.neighbour))
                      for i in shape.neighbours}
                seen = {i: vectors.load(address) for i, address in at.items()}
                if line >= lines - shape.step:               # the other lines will read what these have prefetched
                    for address in at.values():
                        prefetch(builder, offset(builder, address, (1, ahead.x)))
                for p, j in itertools.product(range(places), range(taps)):
                    neighbour = p * shape.stride + j * shape.step
                    if neighbour in seen:
                        total = builder.load(sums[line, p])
                        builder.store(vectors.fma(seen[neighbour], weights[j], total), sums[line, p])

    floor = vectors.floor(relu)
    for cell in cells:
        vectors.store(vectors.clamp(builder.load(sums[cell]), floor), targets[cell])


pixel_tile, tap_tile = make_tile(PIXEL_SHAPES), make_tile(TAP_SHAPES)
