"""Convolution: the choice between its algorithms, by shape.

`direct.py` computes every convolution. The others are faster for some:

    depthwise.py    a group for each channel: too few columns for a matrix product
    pointwise.py    a window of one pixel: nothing but a matrix product
    narrow.py       the input gradient for few channels, with fewer SIMD lanes left empty
    winograd.py     windows of 3x3 or 5x5, stride 1, with fewer multiplications

Winograd's transforms must cost less than the multiplications they save. With many channels they do; for an image or two
of few pixels they do not.
"""

import math

from minidl.kernels.cpu.convolution import depthwise, direct, narrow, pointwise, winograd
from minidl.kernels.cpu.convolution.winograd_transforms import SCHEMES
from minidl.kernels.cpu.gemm.packing import panel_width
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
        return winograd.conv2d(x, weight, bias, window, scheme, relu)
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
    """Whether the convolution is a matrix product over pixels, of which there is at least one."""
    return window._replace(dilation=(1, 1)) == PIXEL and groups == 1 and size > 0


def is_narrow(like, c, window, groups):
    """Whether `narrow.py` fills vectors better: c channels do not fill one, but rows of windows are contiguous."""
    return (c * like.itemsize < VECTOR_BYTES and groups == 1 and window.dilation[1] == 1
            and window.kernel[1] > window.stride[1])


def winograd_scheme(like, shape, f, window, groups):
    """The fastest Scheme of Winograd convolution for images of `shape` (N, C, H, W) and f filters.

    None if direct convolution is faster, or the shape is not supported: filters of a group must fill whole vectors, and
    its channels at least one in each panel.
    """
    (n, c, *size), lanes = shape, VECTOR_BYTES // like.itemsize
    left = c % panel_width(like)
    whole_vectors = f % (groups * lanes) == 0 and (c % (groups * lanes) == 0 or (groups == 1 and left > lanes))
    if not (window.stride == window.dilation == (1, 1) and whole_vectors and min(n, c, f) > 0 and settings.winograd):
        return None
    choices = [None, *(scheme for scheme in SCHEMES if window.kernel == (scheme.r, scheme.r))]
    return min(choices, key=lambda scheme: cycles(scheme, n, c // groups, f // groups, window.kernel, window.out(size)))


def cycles(scheme, n, c, f, kernel, out):
    """Estimated clock cycles, per channel and vector of filters, of convolution by a Scheme, or of direct (None).

    The GEMM microkernel takes MR cycles for MR products of vectors. An input tile is transformed once for all filters,
    an output tile once for all channels, a filter once.
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
