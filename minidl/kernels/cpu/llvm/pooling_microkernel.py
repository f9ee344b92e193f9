"""The tiles of max pooling: one vector of channels of one pixel, kept in registers.

`max_tile` is the maximum of the pixels under a window, and which tap it lay under. There are two ways back:
`winner_tile` is the sum of the gradients of those windows around a pixel that it won, and `loser_tile`, where windows
share no pixel, writes the gradient to the winner of a window and zeros to its losers. All walk over a box of rows and
columns: the taps that meet the image, or the windows that meet the pixel; `kernels/cpu/depthwise.py` has the tables.
"""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.llvm.depthwise_microkernel import Vectors, each_vector, walk
from minidl.kernels.cpu.llvm.gemm_microkernel import hidden, number

BYTE = ir.IntType(8)
NOWHERE = 255      # the place of what no pixel of its window gave


@intrinsic
def max_tile(typingctx, like, x, out, place, rows, columns, first, x_steps, tap_steps, channels, relu):
    """out, place = the maximum over a box of pixels, and the number of its tap; the first if several, NaN if any.

    x, out, place     addresses (of float or double, the same, and bytes)
    rows, columns     of the box;   x_steps: bytes from row to row and from column to column
    first, tap_steps  the number of the first tap, and how it grows from row to row and from column to column
    channels          how many there are
    relu              1: where all pixels are below 0, out is 0, and no tap's, which is NOWHERE; 0: as it is
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, x, out, place, rows, columns, first, x_steps, tap_steps, channels, relu = values
        x_steps, tap_steps = (cgutils.unpack_tuple(builder, steps) for steps in (x_steps, tap_steps))
        rectified = builder.icmp_signed("!=", relu, number(0))
        least = builder.select(rectified, ir.Constant(element, 0.0), ir.Constant(element, -math.inf))
        nowhere = builder.select(rectified, ir.Constant(BYTE, NOWHERE), ir.Constant(BYTE, 0))

        def one_vector(few, x, out, place):
            vectors = Vectors(builder, element, few)
            taps = ir.VectorType(BYTE, vectors.lanes)
            best, where = cgutils.alloca_once(builder, vectors.type), cgutils.alloca_once(builder, taps)
            builder.store(vectors.spread(least), best)
            builder.store(vectors.spread(nowhere), where)
            with (walk(builder, rows, (x, first), (x_steps[0], tap_steps[0])) as row,
                  walk(builder, columns, row, (x_steps[1], tap_steps[1])) as column):
                value, old = vectors.load(hidden(builder, column[0])), builder.load(best)
                tap = vectors.spread(builder.trunc(hidden(builder, column[1]), BYTE))
                better = builder.and_(builder.fcmp_unordered("<", old, value), builder.fcmp_ordered("ord", old, old))
                builder.store(builder.select(better, value, old), best)
                builder.store(builder.select(better, tap, builder.load(where)), where)
            vectors.store(builder.load(best), out)
            vectors.store(builder.load(where), place)

        each_vector(builder, element, channels, (x, out, place), (element, element, BYTE), one_vector)
        return context.get_dummy_value()

    pair = types.UniTuple(types.int64, 2)
    return types.void(like, *[types.int64] * 6, pair, pair, types.int64, types.int64), generate


@intrinsic
def winner_tile(typingctx, like, grad, place, dx, rows, columns, first, grad_steps, place_steps, tap_steps, channels):
    """dx = the sum of grad over those of a box of windows whose place is the number of the tap that meets the pixel.

    The settings are those of `max_tile`, with steps in grad and in place.
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, place, dx, rows, columns, first, *steps, channels = values
        down, across = zip(*(cgutils.unpack_tuple(builder, some) for some in steps), strict=True)

        def one_vector(few, grad, place, dx):
            vectors = Vectors(builder, element, few)
            taps = ir.VectorType(BYTE, vectors.lanes)
            zero = vectors.spread(ir.Constant(element, 0.0))
            total = cgutils.alloca_once(builder, vectors.type)
            builder.store(zero, total)
            with (walk(builder, rows, (grad, place, first), down) as row,
                  walk(builder, columns, row, across) as column):
                grad_here, place_here, tap = (hidden(builder, value) for value in column)
                won = builder.icmp_signed("==", vectors.load(place_here, taps),
                                          vectors.spread(builder.trunc(tap, BYTE)))
                share = builder.select(won, vectors.load(grad_here), zero)
                builder.store(builder.fadd(builder.load(total), share), total)
            vectors.store(builder.load(total), dx)

        each_vector(builder, element, channels, (grad, place, dx), (element, BYTE, element), one_vector)
        return context.get_dummy_value()

    pair = types.UniTuple(types.int64, 2)
    return types.void(like, *[types.int64] * 6, pair, pair, pair, types.int64), generate


@intrinsic
def loser_tile(typingctx, like, grad, place, dx, rows, columns, dx_steps, channels):
    """dx = grad at the tap whose number is the place, and 0 at all other taps of a window.

    grad, place, dx   addresses: of one window's numbers, and of the pixel under its first tap
    rows, columns     of the window;   dx_steps: bytes from row to row and from column to column
    channels          how many there are
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, grad, place, dx, rows, columns, dx_steps, channels = values
        dx_steps = cgutils.unpack_tuple(builder, dx_steps)

        def one_vector(few, grad, place, dx):
            vectors = Vectors(builder, element, few)
            won = vectors.load(place, ir.VectorType(BYTE, vectors.lanes))
            share, zero = vectors.load(grad), vectors.spread(ir.Constant(element, 0.0))
            with (walk(builder, rows, (dx, number(0)), (dx_steps[0], columns)) as row,
                  walk(builder, columns, row, (dx_steps[1], number(1))) as (target, tap)):
                here = builder.icmp_signed("==", won, vectors.spread(builder.trunc(hidden(builder, tap), BYTE)))
                vectors.store(builder.select(here, share, zero), hidden(builder, target))

        each_vector(builder, element, channels, (grad, place, dx), (element, BYTE, element), one_vector)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 5, types.UniTuple(types.int64, 2), types.int64), generate
