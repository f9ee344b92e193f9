"""Which way to convolve: the choice, by shape, between the algorithms, and nothing else.

`direct.py` does every convolution. `depthwise.py` does those with a group for each channel, which are no matrix
products, and `pointwise.py` those with a window of one pixel, which are nothing else. `few_channels.py` has an input
gradient that leaves fewer lanes empty. `winograd.py` does those with windows of 3x3 or 5x5 and stride 1 with fewer
products, but what it saves must repay its transforms: a lot for many channels, nothing for an image or two of few
pixels.
"""

import math

from minidl.kernels.cpu.convolution import depthwise, direct, narrow, pointwise, winograd
from minidl.kernels.cpu.convolution.winograd_transforms import SCHEMES
from minidl.kernels.cpu.runtime.target import TILE_ROWS, VECTOR_BYTES
from minidl.kernels.geometry import Window
from minidl.kernels.settings import settings

PIXEL = Window((1, 1))

# Clock cycles of the transforms of one square of pixels, or of one filter, a vector of channels. Found by measuring.
INPUT = {4: 130, 6: 300}                              # n
FILTER = {(4, 3): 80, (6, 3): 200, (6, 5): 350}       # n, r
OUTPUT = {(2, 4): 90, (4, 6): 190, (2, 6): 140}       # m, n


def conv2d(x, weight, bias, window, groups=1, relu=False):
    """out[n, f, y, x] = bias[f] + sum over c, i, j of x[n, c, y*sh + i*dh, x*sw + j*dw] * weight[f, c, i, j]

    x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW), channels last in memory
    With `relu`, max(out, 0).
    """
    if groups == x.shape[1] > 1:
        return depthwise.conv2d(x, weight, bias, window, relu)
    if is_pointwise(window, groups, x.size):
        return pointwise.conv2d(x, weight, bias, relu)
    scheme = fewer_products(x, x.shape, len(weight), window, groups)
    if scheme:
        return winograd.conv2d(x, weight, bias, window, scheme, groups, relu)
    return direct.conv2d(x, weight, bias, window, groups, relu)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    """The gradient of conv2d by x.   grad (N, F, OH, OW), weight (F, C/groups, KH, KW)  ->  (N, C, H, W) = shape

    With `bias` (C,), that is added: the forward pass of a transposed convolution.
    """
    if groups == shape[1] > 1:
        return plus(depthwise.conv2d_input_gradient(grad, weight, shape, window), bias)
    if is_pointwise(window, groups, grad.size):
        return pointwise.conv2d_input_gradient(grad, weight, bias)
    if is_narrow(grad, shape[1], window, groups):
        return narrow.conv2d_input_gradient(grad, weight, shape, window, bias)
    scheme = fewer_products(grad, shape, len(weight), window, groups)
    if scheme:
        return winograd.conv2d_input_gradient(grad, weight, shape, window, scheme, groups, bias)
    return direct.conv2d_input_gradient(grad, weight, shape, window, groups, bias)


def plus(out, bias):
    """out (N, C, H, W), to which a bias (C,) is added if there is one."""
    if bias is not None:
        out += bias[:, None, None]
    return out


def conv2d_weight_gradient(grad, x, window, groups=1):
    """The gradient of conv2d by its weight.   grad (N, F, OH, OW), x (N, C, H, W)  ->  (F, C/groups, KH, KW)"""
    if groups == x.shape[1] > 1:
        return depthwise.conv2d_weight_gradient(grad, x, window)
    if is_pointwise(window, groups, x.size):
        return pointwise.conv2d_weight_gradient(grad, x)
    scheme = fewer_products(x, x.shape, grad.shape[1], window, groups)
    if scheme:
        return winograd.conv2d_weight_gradient(grad, x, window, scheme, groups)
    return direct.conv2d_weight_gradient(grad, x, window, groups)


def is_pointwise(window, groups, size):
    """Whether it is a product over pixels, of which there are any."""
    return window._replace(dilation=(1, 1)) == PIXEL and groups == 1 and size > 0


def is_narrow(like, c, window, groups):
    """Whether channels fill no vector, but rows of windows fill it better, which overlap."""
    return (c * like.itemsize < VECTOR_BYTES and groups == 1 and window.dilation[1] == 1
            and window.kernel[1] > window.stride[1])


def fewer_products(like, shape, f, window, groups):
    """The Scheme for Winograd's way; None for the direct way.

    like   any array of the element type;  shape: (N, C, H, W);  f: filters
    """
    (n, c, *size), lanes = shape, VECTOR_BYTES // like.itemsize
    whole = c % (groups * lanes) == f % (groups * lanes) == 0
    if not (window.stride == window.dilation == (1, 1) and whole and min(n, c, f) > 0) or not settings.winograd:
        return None
    ways = [None, *(scheme for scheme in SCHEMES if window.kernel == (scheme.taps, scheme.taps))]
    return min(ways, key=lambda way: cycles(way, n, c // groups, f // groups, window.kernel, window.out(size)))


def cycles(scheme, n, c, f, kernel, out):
    """About how long each way takes, in clock cycles for each channel and vector of filters.

    The tile does TILE_ROWS products in as many cycles. A square of the input is transformed once for all filters, one
    of the output once for all channels, a filter once.
    """
    if scheme is None:
        return math.prod(kernel) * whole_tiles(n * math.prod(out))
    m, r, points = scheme
    squares = n * math.prod(-(-side // m) for side in out)
    return (points**2 * whole_tiles(squares) + squares * (INPUT[points] / f + OUTPUT[m, points] / c)
            + FILTER[points, r])


def whole_tiles(rows):
    """`rows` rounded up to what tiles hold."""
    return -(-rows // TILE_ROWS) * TILE_ROWS
