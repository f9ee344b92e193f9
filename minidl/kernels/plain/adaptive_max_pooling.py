"""Adaptive max pooling as array code: the parts of an image are nearly equal, and may overlap."""

import itertools

from minidl.device import array_module


def adaptive_max_pool2d(x, size):
    """The largest element of each of OH x OW parts, and the winner: the pixel y * W + x that holds it, int32.

    x (N, C, H, W), size (OH, OW)  ->  both (N, C, OH, OW)
    Part i of n spans the rows from floor(i*H/n) to ceil((i+1)*H/n). NaN exceeds every number; the first of equals wins.
    """
    xp, (n, c, h, w) = array_module(x), x.shape
    out, winner = xp.empty((n, c, *size), dtype=x.dtype), xp.empty((n, c, *size), dtype=xp.int32)
    for i, j, rows, columns in parts((h, w), size):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        part = x[:, :, rows, columns].reshape(n, c, height * width)
        best = part.argmax(-1)
        out[:, :, i, j] = xp.take_along_axis(part, best[..., None], -1)[..., 0]
        winner[:, :, i, j] = (rows.start + best // width) * w + columns.start + best % width
    return out, winner


def adaptive_max_pool2d_gradient(grad, winner, shape):
    """Add each gradient to the winner of its part.   grad, winner (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    xp, (h, w) = array_module(grad), shape[2:]
    dx = xp.zeros(shape, dtype=grad.dtype)
    for i, j, rows, columns in parts((h, w), grad.shape[2:]):
        pixels = xp.arange(h)[rows, None] * w + xp.arange(w)[columns]
        dx[:, :, rows, columns] += xp.where(pixels == winner[:, :, i, j, None, None], grad[:, :, i, j, None, None], 0)
    return dx


def parts(lengths, size):
    """Row and column of each output element, and the rows and columns of its part."""
    spans = [[slice(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
             for n, out in zip(lengths, size, strict=True)]
    for (i, rows), (j, columns) in itertools.product(*map(enumerate, spans)):
        yield i, j, rows, columns
