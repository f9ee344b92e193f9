"""The microkernels of max pooling: one vector of channels of one pixel, kept in registers.

`max_tile` finds the maximum of the pixels under a window, and the winner: the number of the tap that holds it. The
gradient has two algorithms. `gather_tile` sums, for a pixel, the gradients of the windows that it won. `scatter_tile`,
for windows that share no pixel, writes the gradient to the winner and 0 to all other pixels. For one channel:

    x         taps 0 1 2     max_tile           scatter_tile          gather_tile, for one pixel of x
    3 5 1          3 4 5                        0 g 0                 windows that cover it     g0  g1  g2
    2 4 5          6 7 8     out = 5            0 0 0                 their winners             7   4   0
    0 1 2                    winner = 1         0 0 0                 its tap in each           7   6   0
                                                                      dx = g0 + g2

Each goes through a box of rows and columns: the taps inside the image, or the windows that cover the pixel.
"""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.vectors import I8, Vectors, each_vector, i64, opaque, pointer_loop, unpack

NO_TAP = 255       # the winner of a window in which ReLU leaves no element: no tap gets a gradient


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
def max_tile(typingctx, like, x, out, winner, box, x_strides, taps, channels, relu):
    """out, winner = the maximum over a box of pixels, and the number of its tap: the first of equals; NaN exceeds all.

    like             any array of the element type
    x, out, winner   addresses: the first pixel under the window, and the results (winners are bytes)
    box              Box;  x_strides: Pair;  taps: TapNumbers
    channels         the number of channels
    relu             1: if no pixel is above 0, out is 0 and winner is NO_TAP; 0: both are unchanged. Of pixels that are
                     all -inf, the first tap wins
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, x, out, winner, *_, channels, relu = values
        box, x_strides, taps = (unpack(context, builder, signature.args[i], values[i]) for i in range(4, 7))
        rectifies, first = builder.icmp_signed("!=", relu, i64(0)), builder.trunc(taps.first, I8)
        start_tap = builder.select(rectifies, I8(NO_TAP), first)

        def one_vector(count, x, out, winner):
            vectors = Vectors(builder, element, count)
            best = cgutils.alloca_once_value(builder, vectors.floor(relu))
            best_tap = cgutils.alloca_once_value(builder, vectors.splat(start_tap))
            with (pointer_loop(builder, box.rows, (x, taps.first), (x_strides.row, taps.row_step)) as row,
                  pointer_loop(builder, box.columns, row, (x_strides.column, taps.column_step)) as (x_here, tap)):
                value, old = vectors.load(opaque(builder, x_here)), builder.load(best)
                tap = vectors.splat(builder.trunc(opaque(builder, tap), I8))
                better = builder.and_(builder.fcmp_unordered("<", old, value), builder.fcmp_ordered("ord", old, old))
                builder.store(builder.select(better, value, old), best)
                builder.store(builder.select(better, tap, builder.load(best_tap)), best_tap)
            vectors.store(builder.load(best), out)
            vectors.store(builder.load(best_tap), winner)

        each_vector(builder, element, channels, (x, out, winner), (element, element, I8), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3, box, x_strides, taps, types.int64, types.int64), generate


@intrinsic
def gather_tile(typingctx, like, grad, winner, dx, box, grad_strides, winner_strides, taps, channels):
    """dx = the sum of grad over those windows of a box whose winner is the tap that covers the pixel.

    The parameters are like those of `max_tile`; grad and winner each have strides.
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, winner, dx, *_, channels = values
        box, of_grad, of_winner, taps = (unpack(context, builder, signature.args[i], values[i]) for i in range(4, 8))
        row_strides = of_grad.row, of_winner.row, taps.row_step
        column_strides = of_grad.column, of_winner.column, taps.column_step

        def one_vector(count, grad, winner, dx):
            vectors = Vectors(builder, element, count)
            tap_numbers = ir.VectorType(I8, vectors.lanes)
            total = cgutils.alloca_once_value(builder, vectors.zero)
            with (pointer_loop(builder, box.rows, (grad, winner, taps.first), row_strides) as row,
                  pointer_loop(builder, box.columns, row, column_strides) as column):
                grad_here, winner_here, tap = (opaque(builder, value) for value in column)
                won = builder.icmp_signed("==", vectors.load(winner_here, tap_numbers),
                                          vectors.splat(builder.trunc(tap, I8)))
                passed = builder.select(won, vectors.load(grad_here), vectors.zero)
                builder.store(builder.fadd(builder.load(total), passed), total)
            vectors.store(builder.load(total), dx)

        each_vector(builder, element, channels, (grad, winner, dx), (element, I8, element), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3, box, grad_strides, winner_strides, taps, types.int64), generate


@intrinsic
def scatter_tile(typingctx, like, grad, winner, dx, box, dx_strides, channels):
    """dx = grad at the winner of a window, and 0 at all other taps.

    grad, winner, dx  addresses: those of the window, and that of the pixel under its first tap
    box               Box, the window;  dx_strides: Pair
    channels          the number of channels
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, winner, dx, *_, channels = values
        box, strides = (unpack(context, builder, signature.args[i], values[i]) for i in (4, 5))

        def one_vector(count, grad, winner, dx):
            vectors = Vectors(builder, element, count)
            winners = vectors.load(winner, ir.VectorType(I8, vectors.lanes))
            value = vectors.load(grad)
            with (pointer_loop(builder, box.rows, (dx, i64(0)), (strides.row, box.columns)) as row,
                  pointer_loop(builder, box.columns, row, (strides.column, i64(1))) as (target, tap)):
                here = builder.icmp_signed("==", winners, vectors.splat(builder.trunc(opaque(builder, tap), I8)))
                vectors.store(builder.select(here, value, vectors.zero), opaque(builder, target))

        each_vector(builder, element, channels, (grad, winner, dx), (element, I8, element), one_vector)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3, box, dx_strides, types.int64), generate
