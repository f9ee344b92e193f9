"""The tiles of max pooling over many channels: one vector of channels of one pixel, kept in registers.

`max_tile` is the maximum of the pixels under a window, and which tap it lay under; `winner_tile` is the way back, the
sum of the gradients of those windows around a pixel that it won. Both walk over a box of rows and columns: the taps
that meet the image, or the windows that meet the pixel; `kernels/cpu/depthwise.py` has the tables of these.
"""

import math

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.tile import hidden
from minidl.kernels.cpu.window_tile import Vectors, each_vector, walk

BYTE = ir.IntType(8)


@intrinsic
def max_tile(typingctx, like, x, out, place, rows, columns, first, x_steps, tap_steps, channels):
    """out, place = the maximum over a box of pixels, and the number of its tap; the first if several, NaN if any.

    x, out, place     addresses (of float or double, the same, and bytes)
    rows, columns     of the box;   x_steps: bytes from row to row and from column to column
    first, tap_steps  the number of the first tap, and how it grows from row to row and from column to column
    channels          how many there are
    """
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, x, out, place, rows, columns, first, x_steps, tap_steps, channels = values
        x_steps, tap_steps = (cgutils.unpack_tuple(builder, steps) for steps in (x_steps, tap_steps))

        def one_vector(few, x, out, place):
            vectors = Vectors(builder, element, few)
            taps = ir.VectorType(BYTE, vectors.lanes)
            best = cgutils.alloca_once_value(builder, vectors.spread(ir.Constant(element, -math.inf)))
            builder.store(vectors.spread(ir.Constant(element, -math.inf)), best)
            where = cgutils.alloca_once(builder, taps)
            builder.store(ir.Constant(taps, None), where)
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
    return types.void(like, *[types.int64] * 6, pair, pair, types.int64), generate


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
