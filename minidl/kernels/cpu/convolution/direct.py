"""Direct convolution: the windows are read where they lie, so nothing is copied but a border of zeros.

In channels-last memory one row of a window is KW * C numbers side by side. Output pixel (n, y, x) is therefore a sum
over KH such rows against the matching rows of the weight, which is just what `product` computes. The three functions
below only say, each for its own sum, what the rows are, where they lie, and how far apart. Strides are in bytes: sn
from image to image, sy from row to row, sx from pixel to pixel, sc from channel to channel.
"""

import numpy as np

from minidl.kernels.cpu.convolution.tap_tables import distances, phases, useful_taps
from minidl.kernels.cpu.gemm.indirect import Columns, Rows, packed, panel_width, product, start_row
from minidl.kernels.cpu.layout import channels_last, fill, logical, padded
from minidl.kernels.cpu.runtime.memory_pool import empty

SPLITS = 16        # partial results of a weight gradient; a fixed number, so that the bits don't depend on the threads
PARTIAL_BYTES = 2**20      # of all of them: to add them up takes time too


def conv2d(x, weight, bias, window, groups=1, relu=False):
    """out[n, f, y, x] = bias[f] + sum over c, i, j of x[n, c, y*sh + i*dh, x*sw + j*dw] * weight[f, c, i, j]

    x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW), channels last in memory
    With `relu`, max(out, 0).
    """
    n, f = len(x), len(weight)
    oh, ow = window.out(x.shape[2:])
    (kh, kw), (sh, sw), (dh, dw), ((top, _), _) = window.kernel, window.stride, window.dilation, window.padding
    h, fg, cg = x.shape[2], f // groups, weight.shape[1]
    x = padded(channels_last(x), window.padding)
    sn, sy, sx, sc = x.strides
    out = empty((n, oh, ow, f), x.dtype)
    # A tap is a run of neighbours in memory: a row of the window if nothing lies between its pixels, else one pixel.
    per_row, k = (1, kw * cg) if dw == groups == 1 else (kw, cg)
    steps = distances(groups, range(kh), range(per_row), cg * sc, sy * dh, sx * dw)
    useful = useful_taps(oh, sh, range(-top, kh * dh - top, dh), h, per_row)
    filters = weight.transpose(2, 3, 1, 0).reshape(kh, kw, cg, groups, fg)        # the columns of each group
    product((n, oh, ow), Rows(x, 0, (sn, sy * sh, sx * sw)), steps, k, sc, packed(filters), fg,
            start_row(x, bias, fg, groups), Rows(out, 0, out.strides[:3], fg * sc), useful=useful, relu=relu)
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    """The gradient of conv2d by x.   grad (N, F, OH, OW), weight (F, C/groups, KH, KW)  ->  (N, C, H, W) = shape

    With `bias` (C,), that is added: the forward pass of a transposed convolution.

    Input row y feeds output row o through window row i if  o * s + i * d = y + top. With stride s, the input rows
    y = r, r + s, r + 2s, ... meet the same window rows: those where r + top - i * d is a multiple of s. So each of
    the s * s phases (r of rows, q of columns) is a convolution of stride 1 over grad, with some taps of the window.
    """
    if groups == 1 and window.side_by_side(shape[2:]):
        return patches(grad, weight, shape, bias)
    n, c, h, w = shape
    fg, cg, oh = len(weight) // groups, c // groups, grad.shape[2]
    out = empty((n, h, w, c), grad.dtype)
    (down, above, below), (across, before, behind) = [
        phases(*axis) for axis in zip((h, w), window.kernel, window.stride, window.dilation, window.padding,
                                      grad.shape[2:], strict=True)]
    grad = padded(channels_last(grad), ((above, below), (before, behind)))
    sn, sy, sx, sc = grad.strides
    on, oy, ox, _ = out.strides
    sh, sw = window.stride
    filters = weight.transpose(2, 3, 0, 1).reshape(*window.kernel, groups, fg, cg)
    filters = filters.transpose(0, 1, 3, 2, 4)                                    # (KH, KW, F/groups, groups, C/groups)
    start = start_row(grad, bias, cg, groups)
    if not all(places for _, places, _ in (*down, *across)):
        fill(start_row(grad, bias, c)[:c], out)                                   # some pixels feed no output
    for r, (lines, i_places, i_taps) in enumerate(down):
        for q, (pixels, j_places, j_taps) in enumerate(across):
            if not (lines and pixels and i_places and j_places):
                continue
            steps = distances(groups, i_places, j_places, fg * sc, sy, sx)
            useful = useful_taps(lines, 1, tuple(p - above for p in i_places), oh, len(j_places))
            product((n, lines, pixels), Rows(grad, 0, (sn, sy, sx)), steps, fg, sc, packed(filters[i_taps, j_taps]),
                    cg, start, Rows(out, r * oy + q * ox, (on, oy * sh, ox * sw), cg * sc), useful=useful)
    return logical(out)


def patches(grad, weight, shape, bias):
    """conv2d_input_gradient for windows side by side: each pixel of grad feeds the KH * KW pixels of its own window.

    A row of the window is KW * C numbers in one stretch of memory, the columns of a product. The KH rows are its
    groups, which all read the same pixel.
    """
    (f, c, kh, kw), (n, _, h, w) = weight.shape, shape
    grad, out = channels_last(grad), empty((n, h, w, c), grad.dtype)
    on, oy, ox, oc = out.strides
    filters = weight.transpose(0, 2, 3, 1).reshape(1, 1, f, kh, kw * c)
    start = start_row(grad, None if bias is None else np.tile(bias, kh * kw), kw * c, kh)
    product(grad.shape[:3], Rows(grad, 0, grad.strides[:3]), np.zeros((kh, 1), np.int64), f, oc, packed(filters),
            kw * c, start, Rows(out, 0, (on, oy * kh, ox * kw), oy))
    return logical(out)


def conv2d_weight_gradient(grad, x, window, groups=1):
    """The gradient of conv2d by its weight.   grad (N, F, OH, OW), x (N, C, H, W)  ->  (F, C/groups, KH, KW)

    dw[f, c, i, j] = sum over n, y, x of grad[n, f, y, x] * x[n, c, y*sh + i*dh, x*sw + j*dw]: the rows of this product
    are the places (i, j, c) of the window, and its inner length runs over all output pixels, one output row to a tap.
    """
    n, f, oh, ow = grad.shape
    x = padded(channels_last(x), window.padding)
    grad = channels_last(grad)
    sn, sy, sx, sc = x.strides
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    fg, cg = f // groups, x.shape[3] // groups
    out = empty((kh, kw, cg, f), x.dtype)
    steps = distances(groups, range(n), range(oh), cg * sc, sn, sy * sh)
    if not steps.size:
        out[...] = 0                                                              # an empty batch
    splits = max(1, min(SPLITS, steps.shape[1], PARTIAL_BYTES // max(1, out.nbytes)))
    partial = out[None] if splits == 1 else empty((splits, *out.shape), x.dtype)
    product((kh, kw, cg), Rows(x, 0, (sy * dh, sx * dw, sc)), steps, ow, sx * sw,
            Columns(grad, fg * sc, panel_width(x) * sc, f * sc), fg, start_row(x, None, fg, groups),
            Rows(partial, 0, out.strides[:3], fg * sc), splits, out.nbytes)
    if splits > 1:
        partial.sum(0, out=out)
    return out.transpose(3, 2, 0, 1)
