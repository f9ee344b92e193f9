"""The tile of channelwise convolution: one vector of channels, a few sums at once, each kept in a register.

Where every channel has a filter of its own, nothing is shared between channels, and a vector of neighbouring channels
goes through all the arithmetic together. With x and w standing for such vectors, the tile computes

    out[l, p] = start + sum over n, a, b, j of x[n, a, b; l, p * stride + j] * w[n, a, b; j]

for a few lines l and places p. What makes one tile serve convolution and both its gradients is where the vectors lie:
each index has a distance in bytes in x and in w. For a convolution the places are output pixels, w is the weight, and
the loops run over the taps of the window; for the gradient by the weight the lines and places are the taps, w is the
gradient, and the loops run over images and their pixels. `depthwise.py` says which, `tile.py` is its sister for
channels that mix.
"""

import functools
import itertools
import math
from contextlib import contextmanager
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.gemm_microkernel import (
    LANE,
    column_masks,
    hidden,
    intrinsic_function,
    number,
    prefetch,
    spread,
)
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES


class Form(NamedTuple):
    """What a tile computes at once: `lines` times `places` sums, with `taps` vectors of w in one round of its loops.

    Place p and tap j meet at the neighbour p * stride + j * step of x; `missing` of these do not exist, at both ends.
    """

    lines: int
    places: int
    taps: int = 1
    stride: int = 1
    step: int = 1
    missing: tuple = (0, 0)

    @property
    def span(self):
        """How many neighbours there would be if none were missing."""
        return (self.places - 1) * self.stride + (self.taps - 1) * self.step + 1

    @property
    def neighbours(self):
        """Those that exist."""
        return range(self.missing[0], self.span - self.missing[1])


ENDS = (0, 0), (1, 0), (0, 1), (1, 1)
# Rows of pixels: with three taps at once where windows have three columns, else tap by tap. The longest come first.
PLACE_FORMS = [
    *(Form(1, places, 3, 1, 1, missing) for places in (8, 4, 2) for missing in ENDS),
    *(Form(1, places, 3, 2, 1, missing) for places in (8, 4, 2) for missing in ENDS[:2]),
    *(Form(1, places) for places in (8, 4, 2, 1)),
]
# Taps of a window: three by three, which meet a few pixels of the gradient at once; or, of a row or column left over,
# fewer. What a single pixel meets may miss two of three taps.
TAP_FORMS = [
    *(Form(3, 3, 4, 1, step, missing) for step in (1, 2) for missing in ENDS),
    *(Form(lines, 3, missing=missing) for lines in (3, 1) for missing in (*ENDS, (2, 0), (0, 2))),
    Form(3, 1), Form(1, 1),
]


def make_tile(forms):
    """The intrinsic for a tile of any of these forms.

    tile(like, form, x, w, out, start, images, rows, columns, x_steps, w_steps, out_steps, start_steps, ahead, band,
         channels, relu)
    like       any array of the element type
    form       which of the forms, by its index
    x, w, out  addresses of the first vectors
    start      address of the vector that the first sum starts from
    images, rows, columns    rounds of the three loops; forms of several taps take a row of them in one round
    x_steps    bytes from image to image, row to row, column to column, line to line, and between neighbouring vectors
    w_steps    bytes from image to image, row to row, column to column, and from tap to tap
    out_steps  bytes from line to line, and from place to place
    start_steps  likewise
    ahead      bytes from a vector of x, and of w, to one that will soon be read, and is fetched into the cache
    band       the row of x that the first line begins with, the steps from row to row and from line to line, and how
               many rows there are: those outside are left out
    channels   how many there are: vector after vector, all indices above are the same for each
    relu       1: what is below 0 becomes 0 on the way out; 0: nothing does
    """
    @intrinsic
    def tile(typingctx, like, form, x, w, out, start, images, rows, columns, x_steps, w_steps, out_steps, start_steps,
             ahead, band, channels, relu):
        def generate(context, builder, signature, values):
            element = context.get_data_type(signature.args[0].dtype)
            steps = [cgutils.unpack_tuple(builder, value) for value in values[9:15]]
            done = builder.append_basic_block("done")
            switch = builder.switch(values[1], done)
            for i, chosen in enumerate(forms):
                case = builder.append_basic_block(f"form{i}")
                switch.add_case(number(i), case)
                builder.position_at_end(case)
                each_vector(builder, element, values[15], values[2:6], [element] * 4,
                            functools.partial(emit, builder, element, chosen, values[6:9], steps, values[16]))
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        tuples = [types.UniTuple(types.int64, length) for length in (5, 4, 2, 2, 2, 4)]
        return types.void(like, *[types.int64] * 8, *tuples, types.int64, types.int64), generate

    return tile


def lanes_of(element):
    """How many elements a vector holds."""
    return VECTOR_BYTES // bytes_of(element)


class Vectors:
    """Reading, writing and multiplying vectors; with `few`, the first so many elements of a vector alone."""

    def __init__(self, builder, element, few=None):
        self.builder, self.lanes = builder, lanes_of(element)
        self.type = ir.VectorType(element, self.lanes)
        self.mask = column_masks(builder, self.lanes, 1, few)[0] if few else None

    def load(self, address, type=None):
        """The vector at an address."""
        type = type or self.type
        pointer, align = self.builder.inttoptr(address, type.as_pointer()), bytes_of(type.element)
        if self.mask is None:
            return self.builder.load(pointer, align=align)
        load = self.intrinsic("masked.load", type, type, [type.as_pointer(), LANE, self.mask.type, type], ".p0")
        return self.builder.call(load, [pointer, ir.Constant(LANE, align), self.mask, ir.Constant(type, None)])

    def fetch(self, address):
        """Ask for the vector at an address, which need not exist, to come into the second cache."""
        prefetch(self.builder, address, writing=0, keeping=2)

    def store(self, value, address):
        """Write a vector to an address."""
        pointer, align = self.builder.inttoptr(address, value.type.as_pointer()), bytes_of(value.type.element)
        if self.mask is None:
            self.builder.store(value, pointer, align=align)
            return
        store = self.intrinsic("masked.store", value.type, ir.VoidType(),
                               [value.type, value.type.as_pointer(), LANE, self.mask.type], ".p0")
        self.builder.call(store, [value, pointer, ir.Constant(LANE, align), self.mask])

    def fma(self, a, b, c):
        """a * b + c"""
        return self.builder.call(self.intrinsic("fma", self.type, self.type, [self.type] * 3), [a, b, c])

    def spread(self, scalar):
        """A vector with `scalar` in every lane."""
        return spread(self.builder, scalar, self.lanes)

    def intrinsic(self, name, type, result, arguments, suffix=""):
        """LLVM's own function of this name for vectors of this type."""
        kind = f"{'i' if isinstance(type.element, ir.IntType) else 'f'}{8 * bytes_of(type.element)}"
        return intrinsic_function(self.builder, result, arguments, f"llvm.{name}.v{self.lanes}{kind}{suffix}")


def bytes_of(element):
    """The size of an element: float, double, or integer."""
    if isinstance(element, ir.IntType):
        return element.width // 8
    return 4 if isinstance(element, ir.FloatType) else 8


def each_vector(builder, element, channels, addresses, elements, body):
    """Loop over the vectors of `channels` neighbours: body(few, *addresses), the addresses moving on with them.

    `few` is None but for the channels left over, when it says how many. `elements` are the types at the addresses.
    """
    lanes = number(lanes_of(element))
    whole, rest = builder.udiv(channels, lanes), builder.urem(channels, lanes)
    steps = [number(lanes_of(element) * bytes_of(e)) for e in elements]
    with walk(builder, whole, addresses, steps) as here:
        body(None, *here)
    with builder.if_then(builder.icmp_signed(">", rest, number(0))):
        body(rest, *(moved(builder, a, (whole, step)) for a, step in zip(addresses, steps, strict=True)))


def moved(builder, address, *ways):
    """The address, so many steps of such a length further."""
    for count, step in ways:
        address = builder.add(address, builder.mul(number(count) if isinstance(count, int) else count, step))
    return address


def emit(builder, element, form, rounds, steps, relu, few, x, w, out, start):
    """Write the instructions of one form for one vector; `few` channels, if fewer than a vector holds."""
    (images, rows, columns), (x_steps, w_steps, out_steps, start_steps, ahead, band) = rounds, steps
    lines, places, taps = form[:3]
    vectors = Vectors(builder, element, few)

    cells = [(line, p) for line in range(lines) for p in range(places)]
    sums = {cell: cgutils.alloca_once(builder, vectors.type) for cell in cells}      # LLVM promotes them to registers
    targets = {(line, p): moved(builder, out, (line, out_steps[0]), (p, out_steps[1])) for line, p in cells}
    for line, p in cells:
        first = moved(builder, start, (line, start_steps[0]), (p, start_steps[1]))
        builder.store(vectors.load(first), sums[line, p])

    with (walk(builder, images, (x, w), (x_steps[0], w_steps[0])) as image,
          walk(builder, rows, (*image, band[0]), (x_steps[1], w_steps[1], band[1])) as row,
          walk(builder, columns, row[:2], (x_steps[2], w_steps[2])) as column):
        x_here, w_here = [hidden(builder, address) for address in column]
        weights = [vectors.load(moved(builder, w_here, (j, w_steps[3]))) for j in range(taps)]
        for j in range(taps):
            vectors.fetch(moved(builder, w_here, (j, w_steps[3]), (1, ahead[1])))
        for line in range(lines):
            inside = builder.icmp_unsigned("<", moved(builder, row[2], (line, band[2])), band[3])
            with builder.if_then(inside, likely=True):
                at = {i: moved(builder, x_here, (line, x_steps[3]), (i - form.missing[0], x_steps[4]))
                      for i in form.neighbours}
                seen = {i: vectors.load(address) for i, address in at.items()}
                if line >= lines - form.step:                # the others will read what these have read
                    for address in at.values():
                        vectors.fetch(moved(builder, address, (1, ahead[0])))
                for p, j in itertools.product(range(places), range(taps)):
                    neighbour = p * form.stride + j * form.step
                    if neighbour in seen:
                        total = builder.load(sums[line, p])
                        builder.store(vectors.fma(seen[neighbour], weights[j], total), sums[line, p])

    on = builder.icmp_signed("!=", relu, number(0))
    least = vectors.spread(builder.select(on, ir.Constant(element, 0.0), ir.Constant(element, -math.inf)))
    for cell in cells:
        total = builder.load(sums[cell])
        below = builder.fcmp_ordered("<", total, least)              # NaN is below nothing
        vectors.store(builder.select(below, least, total), targets[cell])


@contextmanager
def walk(builder, rounds, addresses, steps):
    """A loop in which the addresses move on by their steps from round to round; gives where they are."""
    places = [cgutils.alloca_once_value(builder, address) for address in addresses]
    for place, address in zip(places, addresses, strict=True):
        builder.store(address, place)
    with cgutils.for_range(builder, rounds):
        here = [builder.load(place) for place in places]
        yield here
        for place, address, step in zip(places, here, steps, strict=True):
            builder.store(builder.add(address, step), place)


place_tile, tap_tile = make_tile(PLACE_FORMS), make_tile(TAP_FORMS)
