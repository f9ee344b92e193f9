"""Direct convolution: the windows are read where they lie, so nothing is copied but a border of zeros.

In channels-last memory one row of a window is KW * C numbers side by side. Output pixel (n, y, x) is therefore a sum
over KH such rows against the matching rows of the weight, which is just what `product` computes. The three functions
below only say, each for its own sum, what the rows are, where they lie, and how far apart. Strides are in bytes: sn
from image to image, sy from row to row, sx from pixel to pixel, sc from channel to channel.
"""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical, padded
from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.product import ALL_TAPS, Columns, Rows, packed, panel_width, product, start_row

SPLITS = 16        # partial results of a weight gradient; a fixed number, so that the bits don't depend on the threads


def conv2d(x, weight, bias, window, groups=1, relu=False):
    """out[n, f, y, x] = bias[f] + sum over c, i, j of x[n, c, y*sh + i*dh, x*sw + j*dw] * weight[f, c, i, j]

    x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None  ->  (N, F, OH, OW), channels last in memory
    With `relu`, max(out, 0).
    """
    n, f = len(x), len(weight)
    oh, ow = window.out(x.shape[2:])
    (kh, _), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    rows = np.arange(oh)[:, None] * sh + np.arange(kh) * dh - window.padding[0][0]     # (OH, KH): which a window meets
    inside = (rows >= 0) & (rows < x.shape[2])
    x = padded(channels_last(x), window.padding)
    sn, sy, sx, sc = x.strides
    out = empty((n, oh, ow, f), x.dtype)
    fg, cg = f // groups, weight.shape[1]
    steps, k = taps_of(window, cg, x.shape[3], sy * dh, sx * dw)
    useful = ranges(inside, len(steps) // kh)
    filters = weight.transpose(2, 3, 1, 0)                                        # (KH, KW, C/groups, F)
    for g in range(groups):
        part = filters[..., g * fg:(g + 1) * fg].reshape(len(steps), k, fg)
        start = start_row(x, None if bias is None else bias[g * fg:(g + 1) * fg], fg)
        product((n, oh, ow), Rows(x, g * cg * sc, (sn, sy * sh, sx * sw)), steps, k, sc, packed(part), fg, start,
                Rows(out, g * fg * sc, out.strides[:3]), useful=useful, relu=relu)
    return logical(out)


def taps_of(window, channels, pixel, down, right):
    """(byte distances of the taps, numbers per tap) of a window over images with `pixel` numbers in each pixel.

    A tap is a run of neighbours in memory: a whole row of the window if nothing lies between its pixels (no dilation,
    all of the channels), else one pixel.
    """
    kh, kw = window.kernel
    if window.dilation[1] == 1 and channels == pixel:
        return np.arange(kh) * down, kw * channels
    return (np.arange(kh)[:, None] * down + np.arange(kw) * right).ravel(), channels


def ranges(inside, per_row):
    """From which tap to which the rows of a window lie inside the image: the rest of them meet nothing but zeros.

    inside (OH, KH) booleans, true from one row to another;  per_row: taps to a row  ->  int64 (OH, 2)
    """
    if inside.all():
        return ALL_TAPS
    first, count = inside.argmax(1), inside.sum(1)
    return np.stack([first, first + count], axis=1) * per_row


def conv2d_input_gradient(grad, weight, shape, window, groups=1):
    """The gradient of conv2d by x.   grad (N, F, OH, OW), weight (F, C/groups, KH, KW)  ->  (N, C, H, W) = shape

    Input row y feeds output row o through window row i if  o * s + i * d = y + top. With stride s, the input rows
    y = r, r + s, r + 2s, ... meet the same window rows: those where r + top - i * d is a multiple of s. So each of
    the s * s phases (r of rows, q of columns) is a convolution of stride 1 over grad, with some taps of the window.
    """
    n, c, h, w = shape
    f, fg, cg, oh = len(weight), len(weight) // groups, c // groups, grad.shape[2]
    out = empty((n, h, w, c), grad.dtype)
    (down, above, below), (across, before, behind) = [
        phases(*axis) for axis in zip((h, w), window.kernel, window.stride, window.dilation, window.padding,
                                      grad.shape[2:], strict=True)]
    grad = padded(channels_last(grad), ((above, below), (before, behind)))
    sn, sy, sx, sc = grad.strides
    on, oy, ox, _ = out.strides
    sh, sw = window.stride
    filters = weight.transpose(2, 3, 0, 1)                                        # (KH, KW, F, C/groups)
    zeros = start_row(grad, None, cg)
    for r, (lines, i_places, i_taps) in enumerate(down):
        for q, (pixels, j_places, j_taps) in enumerate(across):
            if not lines or not pixels:
                continue
            if not len(i_taps) or not len(j_taps):
                out[:, r::sh, q::sw] = 0
                continue
            steps = (np.array(i_places)[:, None] * sy + np.array(j_places) * sx).ravel()
            rows = np.arange(lines)[:, None] + np.array(i_places) - above
            useful = ranges((rows >= 0) & (rows < oh), len(j_taps))
            taps = filters[slice_of(i_taps), slice_of(j_taps)].reshape(len(steps), f, cg)
            for g in range(groups):
                product((n, lines, pixels), Rows(grad, g * fg * sc, (sn, sy, sx)), steps, fg, sc,
                        packed(taps[:, g * fg:(g + 1) * fg]), cg, zeros,
                        Rows(out, r * oy + q * ox + g * cg * sc, (on, oy * sh, ox * sw)), useful=useful)
    return logical(out)


def slice_of(taps):
    """The window rows of a phase, which are equally far apart, as a slice: indexing by it copies nothing."""
    return slice(taps[0], taps[-1] + 1, taps[1] - taps[0] if len(taps) > 1 else 1)


def phases(size, kernel, stride, dilation, pads, out):
    """One axis of the input gradient: (the phases, zeros needed before grad, zeros needed behind it).

    A phase is (its number of input rows, where in the padded grad each of its taps begins, each tap's window row).
    """
    top = pads[0]
    found = []
    for r in range(stride):
        taps = [i for i in range(kernel) if (r + top - i * dilation) % stride == 0]
        places = [(r + top - i * dilation) // stride for i in taps]              # of the phase's first row
        found.append((len(range(r, size, stride)), places, taps))
    used = [(count, places) for count, places, taps in found if count and taps]
    before = max((-min(places) for _, places in used), default=0)
    behind = max((max(places) + count - out for count, places in used), default=0)
    before, behind = max(before, 0), max(behind, 0)
    return [(count, [p + before for p in places], taps) for count, places, taps in found], before, behind


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
    steps = (np.arange(n)[:, None] * sn + np.arange(oh) * (sy * sh)).ravel()
    if not len(steps):
        out[...] = 0                                                              # an empty batch
    splits = min(SPLITS, max(1, len(steps))) if out.size * out.itemsize <= 2**20 else 1
    partial = out[None] if splits == 1 else empty((splits, *out.shape), x.dtype)
    zeros = start_row(x, None, fg)
    for g in range(groups):
        product((kh, kw, cg), Rows(x, g * cg * sc, (sy * dh, sx * dw, sc)), steps, ow, sx * sw,
                Columns(grad, g * fg * sc, panel_width(x) * sc, f * sc), fg, zeros,
                Rows(partial, g * fg * sc, out.strides[:3]), splits, out.nbytes)
    if splits > 1:
        partial.sum(0, out=out)
    return out.transpose(3, 2, 0, 1)
