"""Max pooling, channels last."""

import math

from minidl.device import array_module
from minidl.kernels.gpu.elements import variant
from minidl.kernels.gpu.layout import channels_last, logical
from minidl.kernels.gpu.pooling import grid_of, sliding
from minidl.kernels.gpu.runtime.launcher import launch

FEW = 32                         # windows that share a pixel, whose gradients are added in the dtype of the gradient


def max_pool2d(x, window, relu=False):
    xp, c = array_module(x), x.shape[1]
    out = xp.empty((len(x), *window.out(x.shape[2:]), c), dtype=x.dtype)
    winner = xp.empty(out.shape, dtype=xp.uint8 if math.prod(window.kernel) < 256 else xp.uint16)
    pixels = out.size // c
    launch(x, "max_pooling.cu", "max_pool", *grid_of(pixels, c), channels_last(x), out, winner,
           sliding(x.shape, window), pixels, c, bool(relu), defines=variant(x.dtype) + of_taps(winner))
    return logical(out), logical(winner)


def max_pool2d_gradient(grad, winner, shape, window):
    n, c, h, w = shape
    dx = array_module(grad).empty((n, h, w, c), dtype=grad.dtype)
    shared = math.prod(-(-k // s) for k, s in zip(window.kernel, window.stride, strict=True))
    sums = ("SUM=double",) if shared > FEW else ()
    launch(grad, "max_pooling.cu", "max_pool_gradient", *grid_of(n * h * w, c), channels_last(grad),
           channels_last(winner), dx, sliding(tuple(shape), window), n * h * w, c,
           defines=variant(grad.dtype) + of_taps(winner) + sums)
    return logical(dx)


def of_taps(winner):
    """The define for the type of the winners."""
    return ("TAP=unsigned short",) if winner.itemsize == 2 else ()
