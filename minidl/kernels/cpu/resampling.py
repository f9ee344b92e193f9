"""Resampling, channels last: whole rows of pixels are blended first, in one long loop, then pixels of the result.

Sums of many taps, as in the gradient of a large magnification, are computed in float64.
"""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import FEW, share
from minidl.kernels.geometry import Taps


def resample(x, rows, columns):
    if max(rows.index.shape[1], columns.index.shape[1]) > FEW and x.dtype != np.float64:
        return resample(x.astype(np.float64), rows, columns).astype(x.dtype)
    x = channels_last(x)
    out = empty((len(x), len(rows.index), len(columns.index), x.shape[3]), x.dtype)
    blend_images(x, *(Taps(taps.index, taps.weight.astype(x.dtype)) for taps in (rows, columns)), out)
    return logical(out)


@kernel
def blend_images(thread, threads, x, rows, columns, out):
    """x (N, H, W, C)  ->  out (N, OH, OW, C): each row is blended from `line`, itself a blend of rows of x"""
    n, oh, ow, c = out.shape
    h, w = x.shape[1:3]
    line = np.empty((1, w * c), x.dtype)
    pixels, images = line.reshape(w, c), x.reshape(n, h, w * c)
    for unit in share(thread, threads, n * oh):
        image, oy = unit // oh, unit % oh
        source, target = images[image], out[image, oy]
        for s in range(rows.index.shape[1]):
            blend(line, 0, s == 0, rows.weight[oy, s], source, rows.index[oy, s])
        for ox in range(ow):
            for t in range(columns.index.shape[1]):
                blend(target, ox, t == 0, columns.weight[ox, t], pixels, columns.index[ox, t])


@inner
def blend(out, o, first, weight, source, i):
    """out[o] = weight * source[i] if `first`, else out[o] += weight * source[i]; weight 0 makes even NaN 0."""
    if first:
        zero = out.dtype.type(0)
        for e in range(out.shape[1]):
            out[o, e] = weight * source[i, e] if weight != 0 else zero
    elif weight != 0:
        for e in range(out.shape[1]):
            out[o, e] += weight * source[i, e]
