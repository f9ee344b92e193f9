"""Resampling, channels last: first whole rows are blended, which is one long loop, then the pixels of the blend."""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.runtime.compile import kernel
from minidl.kernels.cpu.runtime.memory_pool import empty


def resample(x, rows, columns):
    """out[n, c, y, z] = sum over s, t of v[y, s] * w[z, t] * x[n, c, i[y, s], j[z, t]]

    x (N, C, H, W); i, v = rows; j, w = columns: Taps of OH and OW outputs  ->  (N, C, OH, OW)
    Taps of weight 0 are left out.
    """
    x = channels_last(x)
    out = empty((len(x), len(rows.index), len(columns.index), x.shape[3]), x.dtype)
    blend(x, rows.index, rows.weight.astype(x.dtype), columns.index, columns.weight.astype(x.dtype), out)
    return logical(out)


@kernel
def blend(thread, threads, x, row_index, row_weight, column_index, column_weight, out):
    """Each output row is a blend of a few rows, `line`, and each of its pixels one of a few pixels of `line`."""
    n, oh, ow, c = out.shape
    w, zero = x.shape[2], x.dtype.type(0)
    line = np.empty((w, c), x.dtype)
    flat = line.reshape(w * c)
    for row in range(thread * n * oh // threads, (thread + 1) * n * oh // threads):
        image, y = row // oh, row % oh
        for s in range(row_index.shape[1]):
            weight, source = row_weight[y, s], x[image, row_index[y, s]].reshape(w * c)
            if s == 0:
                for e in range(w * c):
                    flat[e] = weight * source[e] if weight != 0 else zero
            elif weight != 0:
                for e in range(w * c):
                    flat[e] += weight * source[e]
        target = out[image, y]
        for z in range(ow):
            for t in range(column_index.shape[1]):
                weight, place = column_weight[z, t], column_index[z, t]
                if t == 0:
                    for e in range(c):
                        target[z, e] = weight * line[place, e] if weight != 0 else zero
                elif weight != 0:
                    for e in range(c):
                        target[z, e] += weight * line[place, e]
