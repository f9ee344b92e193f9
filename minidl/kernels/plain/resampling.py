"""Resampling along rows and columns as array code: one gather and one product per tap."""

from minidl.device import array_module


def resample(x, rows, columns):
    """out[n, c, oy, ox] = sum over s, t of v[oy, s] * w[ox, t] * x[n, c, i[oy, s], j[ox, t]]

    x (N, C, H, W); rows = Taps(i, v) of OH outputs, columns = Taps(j, w) of OW outputs  ->  (N, C, OH, OW)
    Taps of weight 0 are skipped, so NaN and infinity do not pass through them.
    """
    return resample_axis(resample_axis(x, 2, rows), 3, columns)


def resample_axis(x, axis, taps):
    """x resampled by `taps` along one axis."""
    xp = array_module(x)
    index, weights, out = xp.asarray(taps.index), xp.asarray(taps.weight), 0.0
    for t in range(index.shape[1]):
        weight = weights[:, t].reshape(-1, *(1,) * (x.ndim - 1 - axis))
        out = out + xp.where(weight != 0, x.take(index[:, t], axis), 0) * weight
    return out.astype(x.dtype)
