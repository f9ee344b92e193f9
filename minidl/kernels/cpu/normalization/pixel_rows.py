"""Images as a matrix of pixel rows, channels last: what normalization loops along, and how rows are summed.

Images form sets, each with statistics of its own: batch norm makes one set of all images, group norm one of each image.
Up to BLOCK_ROWS rows are summed in the array's own precision, and the block sums in float64: nearly as accurate as
float64 throughout, and several times faster. How the rows of a set are split depends on the shape alone, so the bits do
not depend on the number of threads.
"""

import numpy as np

from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.reduce_columns import BLOCK_ROWS
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS, SERIAL_SIZE, ceil_div, share

ROW_LENGTH = 256         # elements of a pixel row, about
STRIP_LENGTH = 64        # the same where columns are summed, strip by strip (`reduce_columns.py`)


def as_rows(x, sets=1, length=ROW_LENGTH):
    """x (N, C, H, W) as pixel rows: (N*H*W / R, R*C), where each row holds R neighbouring pixels of one set.

    A loop along few channels would be too short; R is the power of 2 that makes it about `length` long.
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
def repeated(v, length):
    """Values per channel, repeated for each pixel of a row of `length` elements.   (sets, C)  ->  (sets, length)"""
    sets, c = v.shape
    out = np.empty((sets, length), v.dtype)
    for e in range(sets):
        for start in range(0, length, c):
            for k in range(c):
                out[e, start + k] = v[e, k]
    return out


# Reductions over the rows of each set: a kernel fills the partial sums, and `fold` adds them up.

def partial_sums(count, rows, sets):
    """Memory for the sums (count, sets, splits, R*C) of `count` reductions.

    A set has a split for each BLOCK_ROWS of its rows, but all sets together have at most REDUCTION_SPLITS, or one each.
    """
    n = len(rows) // max(1, sets)
    splits = min(max(1, REDUCTION_SPLITS // max(1, sets)), ceil_div(n, BLOCK_ROWS))
    return np.empty((count, sets, splits, rows.shape[1]))


@inner
def locate_split(unit, rows, partial):
    """(Set e, split s, first row, end of the rows) of a work unit."""
    _, sets, splits, _ = partial.shape
    n = len(rows) // max(1, sets)
    e, s = unit // splits, unit % splits
    return e, s, e * n + s * n // splits, e * n + (s + 1) * n // splits


def fold(partial, out):
    """out (sums, sets, C) = partial (sums, sets, splits, R*C), summed over the splits and the R pixels of a row"""
    (fold_all if partial.size > SERIAL_SIZE else fold_all.serial)(partial, out)


@kernel
def fold_all(thread, threads, partial, out):
    """`fold` by several threads: each does some channels."""
    fold_channels(thread, threads, partial, out)


@inner
def fold_channels(thread, threads, partial, out):
    """`fold` for the channels of one thread."""
    sums, sets, splits, length = partial.shape
    c = out.shape[2]
    channels = share(thread, threads, c)
    for q in range(sums):
        for e in range(sets):
            total = out[q, e, channels.start:channels.stop]
            total[:] = 0
            for s in range(splits):
                for start in range(0, length, c):
                    some = partial[q, e, s, start + channels.start:start + channels.stop]
                    for k in range(len(total)):
                        total[k] += some[k]
