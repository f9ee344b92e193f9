"""The microkernels of max pooling: one vector of channels of one pixel, kept in registers.

`max_tile` finds the maximum of the pixels under a window, and the number of the tap that it lay under. There are two
ways back. `gather_tile` sums the gradients of those windows around a pixel that the pixel won. `scatter_tile`, for
windows that share no pixel, writes the gradient to the winner of a window and zeros to its losers. For one channel:

    x         taps 0 1 2     max_tile           scatter_tile          gather_tile, for one pixel of x
    3 5 1          3 4 5                        0 g 0                 windows that cover it     g0  g1  g2
    2 4 5          6 7 8     out = 5, place 1   0 0 0                 their places              7   4   0
    0 1 2                                       0 0 0                 its tap in each           7   6   0
                                                                      dx = g0 + g2
Each goes through a box of rows and columns: the taps inside the image, or the windows that cover the pixel.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import I8, Vectors, each_vector, i64, opaque, pointer_loop, unpack

NO_TAP = 255       # the place where ReLU left no element of the window, and no tap gets a gradient


class Box(NamedTuple):
    """How many rows and columns of taps, or of windows, are visited."""

    rows: int
    columns: int


class Pair(NamedTuple):
    """Bytes from row to row, and from column to column."""

    row: int
    column: int


class TapNumbers(NamedTuple):
    """The number of the first tap of a box, and how it grows from row to row and from column to column."""

    first: int
    row_step: int
    column_step: int


@intrinsic
def max_tile(typingctx, like, x, out, place, box, x_strides, taps, channels, relu):
    """out, place = the maximum over a box of pixels, and the number of its tap: the first of several, NaN if any.

    like             any array of the element type
    x, out, place    addresses: the first pixel under the window, and the results (`place` bytes)
    box              Box;  x_strides: Pair;  taps: TapNumbers
    channels         the number of channels
    relu             1: if no pixel is above 0, out is 0 and place is NO_TAP; 0: as it is
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, x, out, place, *_, channels, relu = values
        box, x_strides, taps = (unpack(context, builder, signature.args[i], values[i]) for i in range(4, 7))
        no_tap = builder.select(builder.icmp_signed("!=", relu, i64(0)), I8(NO_TAP), I8(0))

        def one_vector(count, x, out, place):
            vectors = Vectors(builder, element, count)
            best = cgutils.alloca_once_value(builder, vectors.floor(relu))
            best_tap = cgutils.alloca_once_value(builder, vectors.splat(no_tap))
            with (pointer_loop(builder, box.rows, (x, taps.first), (x_strides.row, taps.row_step)) as row,
                  pointer_loop(builder, box.columns, row, (x_strides.column, taps.column_step)) as (x_here, tap)):
                value, old = vectors.load(opaque(builder, x_here)), builder.load(best)
                tap = vectors.splat(builder.trunc(opaque(builder, tap), I8))
                better = builder.and_(builder.fcmp_unordered("<", old, value), builder.fcmp_ordered("ord", old, old))
                builder.store(builder.select(better, value, old), best)
                builder.store(builder.select(better, tap, builder.load(best_tap)), best_tap)
            vectors.store(builder.load(best), out)
            vectors.store(builder.load(best_tap), place)

        each_vector(builder, element, channels, (x, out, place), (element, element, I8), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3, box, x_strides, taps, types.int64, types.int64), generate


@intrinsic
def gather_tile(typingctx, like, grad, place, dx, box, grad_strides, place_strides, taps, channels):
    """dx = the sum of grad over a box of windows, of those whose place is the number of the tap that covers the pixel.

    The parameters are those of `max_tile`; the strides are those of grad and of place.
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, place, dx, *_, channels = values
        box, of_grad, of_place, taps = (unpack(context, builder, signature.args[i], values[i]) for i in range(4, 8))
        row_strides = of_grad.row, of_place.row, taps.row_step
        column_strides = of_grad.column, of_place.column, taps.column_step

        def one_vector(count, grad, place, dx):
            vectors = Vectors(builder, element, count)
            tap_numbers = ir.VectorType(I8, vectors.lanes)
            total = cgutils.alloca_once_value(builder, vectors.zero)
            with (pointer_loop(builder, box.rows, (grad, place, taps.first), row_strides) as row,
                  pointer_loop(builder, box.columns, row, column_strides) as column):
                grad_here, place_here, tap = (opaque(builder, value) for value in column)
                won = builder.icmp_signed("==", vectors.load(place_here, tap_numbers),
                                          vectors.splat(builder.trunc(tap, I8)))
                passed = builder.select(won, vectors.load(grad_here), vectors.zero)
                builder.store(builder.fadd(builder.load(total), passed), total)
            vectors.store(builder.load(total), dx)

        each_vector(builder, element, channels, (grad, place, dx), (element, I8, element), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3, box, grad_strides, place_strides, taps, types.int64), generate


@intrinsic
def scatter_tile(typingctx, like, grad, place, dx, box, dx_strides, channels):
    """dx = grad at the tap of a window whose number is the place, and 0 at all other taps.

    grad, place, dx  addresses: of the window, and of the pixel under its first tap
    box              Box, the window;  dx_strides: Pair
    channels         the number of channels
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, place, dx, *_, channels = values
        box, strides = (unpack(context, builder, signature.args[i], values[i]) for i in (4, 5))

        def one_vector(count, grad, place, dx):
            vectors = Vectors(builder, element, count)
            won = vectors.load(place, ir.VectorType(I8, vectors.lanes))
            value = vectors.load(grad)
            with (pointer_loop(builder, box.rows, (dx, i64(0)), (strides.row, box.columns)) as row,
                  pointer_loop(builder, box.columns, row, (strides.column, i64(1))) as (target, tap)):
                here = builder.icmp_signed("==", won, vectors.splat(builder.trunc(opaque(builder, tap), I8)))
                vectors.store(builder.select(here, value, vectors.zero), opaque(builder, target))

        each_vector(builder, element, channels, (grad, place, dx), (element, I8, element), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3, box, dx_strides, types.int64), generate
