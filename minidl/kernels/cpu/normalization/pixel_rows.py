"""Images as rows of numbers, channels last: what normalization runs its loops along, and how rows are summed.

Images come in sets, each of which has sums of its own: batch norm makes one set of all images, group norm one of each.
Sums run over a BLOCK of rows in the array's own precision, and over blocks in doubles: as accurate as doubles all
through, nearly, and several times faster. How the rows of a set are cut into slices depends on the shape alone, so the
bits do not depend on the number of threads.
"""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.runtime.compile import inner

BLOCK = 64         # rows that are summed in the array's own precision
SLICES = 16        # parts, at most, that are summed apart from each other; but one for each set at least
LENGTH = 256       # numbers in a row, about: short rows are joined
WIDTH = 64         # the same where columns are summed: so many go down at once (`column_sums.py`)


def as_rows(x, sets=1, length=LENGTH):
    """x (N, C, H, W) as rows of channels: (N*H*W / R, R*C), where each row holds R pixels of one set side by side.

    Loops run along rows, and few channels make too short a loop; R is a power of 2 that makes it about `length` long.
    """
    c = x.shape[1]
    pixels = x.size // c
    r = 1
    while pixels // max(1, sets) % (2 * r) == 0 and 2 * r * c <= length:
        r *= 2
    return channels_last(x).reshape(pixels // r, r * c)


def as_image(rows, shape):
    """The inverse of as_rows, for images of `shape`."""
    n, c, h, w = shape
    return logical(rows.reshape(n, h, w, c))


@inner
def slices_of(n, sets):
    """How many slices the n rows of a set are cut into: one for each block, and in all sets no more than SLICES."""
    return min(max(1, SLICES // max(1, sets)), (n + BLOCK - 1) // BLOCK)


@inner
def repeated(v, length):
    """Numbers per channel, repeated for each pixel of a row of `length` numbers.   (sets, C)  ->  (sets, length)"""
    sets, c = v.shape
    out = np.empty((sets, length), v.dtype)
    for e in range(sets):
        for start in range(0, length, c):
            for k in range(c):
                out[e, start + k] = v[e, k]
    return out


@inner
def folded(partial, c):
    """The sums over slices, and over the pixels of a row.   (sets, slices, R*C)  ->  (sets, C)"""
    sets, slices, length = partial.shape
    out = np.zeros((sets, c))
    for e in range(sets):
        for s in range(slices):
            for start in range(0, length, c):
                for k in range(c):
                    out[e, k] += partial[e, s, start + k]
    return out
