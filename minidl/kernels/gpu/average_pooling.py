"""Average pooling, channels last."""

from minidl.device import array_module
from minidl.kernels.gpu.elements import math_dtype, variant
from minidl.kernels.gpu.layout import channels_last, contiguous, logical
from minidl.kernels.gpu.pooling import grid_of, sliding
from minidl.kernels.gpu.runtime.launcher import launch


def avg_pool2d(x, window, share):
    n, c = x.shape[:2]
    out = array_module(x).empty((n, *window.out(x.shape[2:]), c), dtype=x.dtype)
    pooled("avg_pool", x, out, x.shape, window, share)
    return logical(out)


def avg_pool2d_gradient(grad, shape, window, share):
    n, c, h, w = shape
    dx = array_module(grad).empty((n, h, w, c), dtype=grad.dtype)
    pooled("avg_pool_gradient", grad, dx, tuple(shape), window, share)
    return logical(dx)


def pooled(kernel, source, out, shape, window, share):
    """Launch one of the two kernels."""
    c, shares = shape[1], None
    if hasattr(share, "dtype"):
        share, shares = 0, contiguous(share.astype(math_dtype(source.dtype), copy=False))
    pixels = out.size // c
    launch(source, "average_pooling.cu", kernel, *grid_of(pixels, c), channels_last(source), out,
           sliding(shape, window), pixels, c, shares, share, defines=variant(source.dtype))
