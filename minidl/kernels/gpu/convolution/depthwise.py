"""Convolution where each filter sees one channel: too few columns for a matrix product, so bytes are what it costs."""

from minidl.device import array_module
from minidl.kernels.gpu.columns import shape as shape_of_sums
from minidl.kernels.gpu.columns import workspace
from minidl.kernels.gpu.convolution.geometry import geometry
from minidl.kernels.gpu.elements import THREADS, blocks, variant
from minidl.kernels.gpu.layout import channels_last, contiguous, logical
from minidl.kernels.gpu.runtime.launcher import launch

FILE = "convolution/depthwise.cu"
TAPS = 9                                             # of one launch of the weight gradient, as in depthwise.cu


def conv2d(x, weight, bias, window, relu=False):
    f = len(weight)
    out = array_module(x).empty((len(x), *window.out(x.shape[2:]), f), dtype=x.dtype)
    elementwise("depthwise", channels_last(x), by_tap(weight), contiguous(bias), out,
                geometry(x.shape, f, window, x.shape[1]), out.size, relu)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window, bias=None):
    n, c, h, w = shape
    out = array_module(grad).empty((n, h, w, c), dtype=grad.dtype)
    elementwise("depthwise_input_gradient", channels_last(grad), by_tap(weight), contiguous(bias), out,
                geometry(tuple(shape), len(weight), window, c), out.size)
    return logical(out)


def conv2d_weight_gradient(grad, x, window):
    (kh, kw), f = window.kernel, grad.shape[1]
    out, g = array_module(x).empty((kh, kw, 1, f), dtype=x.dtype), geometry(x.shape, f, window, x.shape[1])
    grid, block = shape_of_sums(grad.size // f, f)
    grad, x = channels_last(grad), channels_last(x)
    for first in range(0, kh * kw, TAPS):
        launch(x, FILE, "depthwise_weight_gradient", grid, block, grad, x, out, g, first,
               *workspace(x, *grid, TAPS * f), defines=variant(x.dtype))
    return out.transpose(3, 2, 0, 1)


def elementwise(kernel, a, weight, bias, out, *others):
    """Launch a kernel whose threads make single elements of `out`, unless it is empty."""
    if out.size:
        launch(a, FILE, kernel, (blocks(out.size),), (THREADS,), a, weight, bias, out, *others,
               defines=variant(a.dtype))


def by_tap(weight):
    """weight (F, 1, KH, KW) as a C-contiguous array (KH, KW, 1, F)"""
    return contiguous(weight.transpose(2, 3, 1, 0))
