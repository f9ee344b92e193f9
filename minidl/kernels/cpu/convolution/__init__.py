"""Convolution: the choice between its algorithms, by shape.

`direct.py` computes every convolution. `depthwise.py` has those with a group for each channel, which are no matrix
products, and `pointwise.py` those with a window of one pixel, which are nothing else. `narrow.py` has an input gradient
that leaves fewer SIMD lanes empty. `winograd.py` has those with windows of 3x3 or 5x5 and stride 1, in fewer
multiplications. What it saves must repay its transforms: much with many channels, nothing for an image or two of few
pixels.
"""

import math

from minidl.kernels.cpu.convolution import depthwise, direct, narrow, pointwise, winograd
from minidl.kernels.cpu.convolution.winograd_transforms import SCHEMES
from minidl.kernels.cpu.runtime.target import MR, VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import ceil_div
from minidl.kernels.geometry import Window
from minidl.kernels.settings import settings

PIXEL = Window((1, 1))

# Clock cycles of the transform of one Winograd tile, or of one filter, for a vector of channels. Measured.
INPUT_CYCLES = {4: 130, 6: 300}                              # n
FILTER_CYCLES = {(4, 3): 80, (6, 3): 200, (6, 5): 350}       # n, r
OUTPUT_CYCLES = {(2, 4): 90, (4, 6): 190, (2, 6): 140}       # m, n


def conv2d(x, weight, bias, window, groups=1, relu=False):
    if groups == x.shape[1] > 1:
        return depthwise.conv2d(x, weight, bias, window, relu)
    if is_pointwise(window, groups, x.size):
        return pointwise.conv2d(x, weight, bias, relu)
    scheme = winograd_scheme(x, x.shape, len(weight), window, groups)
    if scheme:
        return winograd.conv2d(x, weight, bias, window, scheme, groups, relu)
    return direct.conv2d(x, weight, bias, window, groups, relu)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    if groups == shape[1] > 1:
        return add_bias(depthwise.conv2d_input_gradient(grad, weight, shape, window), bias)
    if is_pointwise(window, groups, grad.size):
        return pointwise.conv2d_input_gradient(grad, weight, bias)
    if is_narrow(grad, shape[1], window, groups):
        return narrow.conv2d_input_gradient(grad, weight, shape, window, bias)
    scheme = winograd_scheme(grad, shape, len(weight), window, groups)
    if scheme:
        return winograd.conv2d_input_gradient(grad, weight, shape, window, scheme, groups, bias)
    return direct.conv2d_input_gradient(grad, weight, shape, window, groups, bias)


def conv2d_weight_gradient(grad, x, window, groups=1):
    if groups == x.shape[1] > 1:
        return depthwise.conv2d_weight_gradient(grad, x, window)
    if is_pointwise(window, groups, x.size):
        return pointwise.conv2d_weight_gradient(grad, x)
    scheme = winograd_scheme(x, x.shape, grad.shape[1], window, groups)
    if scheme:
        return winograd.conv2d_weight_gradient(grad, x, window, scheme, groups)
    return direct.conv2d_weight_gradient(grad, x, window, groups)


def add_bias(out, bias):
    """out (N, C, H, W) after a bias (C,) is added to it, unless that is None."""
    if bias is not None:
        out += bias[:, None, None]
    return out


def is_pointwise(window, groups, size):
    """Whether it is a matrix product over pixels, and there are any."""
    return window._replace(dilation=(1, 1)) == PIXEL and groups == 1 and size > 0


def is_narrow(like, c, window, groups):
    """Whether `narrow.py` fills vectors better: c channels do not fill one, and rows of windows are contiguous."""
    return (c * like.itemsize < VECTOR_BYTES and groups == 1 and window.dilation[1] == 1
            and window.kernel[1] > window.stride[1])


def winograd_scheme(like, shape, f, window, groups):
    """The fastest Scheme of Winograd convolution for images of `shape` (N, C, H, W) and f filters.

    None if direct convolution is faster, or the shape not supported: channels must be whole vectors in each group.
    """
    (n, c, *size), lanes = shape, VECTOR_BYTES // like.itemsize
    whole_vectors = c % (groups * lanes) == f % (groups * lanes) == 0
    if not (window.stride == window.dilation == (1, 1) and whole_vectors and min(n, c, f) > 0 and settings.winograd):
        return None
    choices = [None, *(scheme for scheme in SCHEMES if window.kernel == (scheme.r, scheme.r))]
    return min(choices, key=lambda scheme: cycles(scheme, n, c // groups, f // groups, window.kernel, window.out(size)))


def cycles(scheme, n, c, f, kernel, out):
    """About how long convolution takes by a Scheme, or directly (None), in clock cycles per channel and filter vector.

    The GEMM microkernel computes MR products in as many cycles. An input tile is transformed once for all filters, an
    output tile once for all channels, a filter once.
    """
    if scheme is None:
        return math.prod(kernel) * whole_register_tiles(n * math.prod(out))
    m, r, points = scheme
    tiles = n * math.prod(ceil_div(side, m) for side in out)
    return (points**2 * whole_register_tiles(tiles)
            + tiles * (INPUT_CYCLES[points] / f + OUTPUT_CYCLES[m, points] / c) + FILTER_CYCLES[points, r])


def whole_register_tiles(rows):
    """`rows`, rounded up to a multiple of MR."""
    return ceil_div(rows, MR) * MR
