"""Adaptive max pooling, channels last."""

import numpy as np

from minidl.device import array_module
from minidl.kernels.gpu.elements import below_2_31, variant
from minidl.kernels.gpu.layout import channels_last, logical
from minidl.kernels.gpu.pooling import grid_of
from minidl.kernels.gpu.runtime.launcher import launch

PARTS = np.dtype([(name, np.int32) for name in ("h", "w", "oh", "ow")])


def adaptive_max_pool2d(x, size):
    (n, c, h, w), (oh, ow), xp = x.shape, size, array_module(x)
    below_2_31("adaptive_max_pool2d: the pixels of an image", h * w)
    out, winner = xp.empty((n, oh, ow, c), dtype=x.dtype), xp.empty((n, oh, ow, c), dtype=xp.int32)
    launch(x, "adaptive_max_pooling.cu", "adaptive_max", *grid_of(n * oh * ow, c), channels_last(x), out, winner,
           np.array([(h, w, oh, ow)], PARTS), n * oh * ow, c, defines=variant(x.dtype))
    return logical(out), logical(winner)


def adaptive_max_pool2d_gradient(grad, winner, shape):
    (n, c, h, w), (oh, ow) = shape, grad.shape[2:]
    dx = array_module(grad).empty((n, h, w, c), dtype=grad.dtype)
    launch(grad, "adaptive_max_pooling.cu", "adaptive_max_gradient", *grid_of(n * h * w, c), channels_last(grad),
           channels_last(winner), dx, np.array([(h, w, oh, ow)], PARTS), n * h * w, c, defines=variant(grad.dtype))
    return logical(dx)
