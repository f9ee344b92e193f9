"""Resampling along rows and columns, as array code: one gather and one product for each tap."""

from minidl.device import array_module


def resample(x, rows, columns):
    """out[n, c, y, z] = sum over s, t of v[y, s] * w[z, t] * x[n, c, i[y, s], j[z, t]]

    x (N, C, H, W); i, v = rows; j, w = columns: Taps of OH and OW outputs  ->  (N, C, OH, OW)
    Taps of weight 0 are left out.
    """
    return along(along(x, 2, rows), 3, columns)


def along(x, axis, taps):
    """x resampled by `taps` along one axis."""
    xp = array_module(x)
    index, weight = xp.asarray(taps.index), xp.asarray(taps.weight.astype(x.dtype))
    out = 0
    for t in range(index.shape[1]):
        share = weight[:, t].reshape(-1, *(1,) * (x.ndim - 1 - axis))
        out = out + xp.where(share != 0, x.take(index[:, t], axis), 0) * share
    return out
