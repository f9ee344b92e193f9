"""Where the taps of a window lie, and which of them matter: small tables, made once for each shape and remembered."""

import functools

import numpy as np

from minidl.kernels.cpu.gemm.indirect import ALL_TAPS

remembered = functools.lru_cache(maxsize=512)


@remembered
def distances(groups, rows, columns, apart, down, right):
    """How many bytes away each group's taps (i, j) are: g * apart + rows[i] * down + columns[j] * right.

    int64 (groups, taps), the taps row by row
    """
    taps = (np.array(rows)[:, None] * down + np.array(columns) * right).ravel()
    return np.arange(groups)[:, None] * apart + taps


@remembered
def useful_taps(lines, stride, places, size, per_row):
    """From which tap to which a window has anything but zeros before it, for each line: int64 (lines, 2), or ALL_TAPS.

    Row i of the window of line y meets row y * stride + places[i] of an image of `size` rows; a row has `per_row` taps.
    """
    rows = np.arange(lines)[:, None] * stride + np.array(places)
    inside = (rows >= 0) & (rows < size)
    if inside.all():
        return ALL_TAPS
    first, count = inside.argmax(1), inside.sum(1)
    return np.stack([first, first + count], axis=1) * per_row


@remembered
def phases(size, kernel, stride, dilation, pads, out):
    """One axis of the input gradient: (the phases, zeros needed before grad, zeros needed behind it).

    A phase is (its number of input rows, where in the padded grad each of its taps begins, its taps as a slice of the
    window's rows, which are equally far apart).
    """
    top = pads[0]
    found = []
    for r in range(stride):
        taps = [i for i in range(kernel) if (r + top - i * dilation) % stride == 0]
        places = [(r + top - i * dilation) // stride for i in taps]              # of the phase's first row
        found.append((len(range(r, size, stride)), places, taps))
    used = [(count, places) for count, places, taps in found if count and taps]
    before = max(0, max((-min(places) for _, places in used), default=0))
    behind = max(0, max((max(places) + count - out for count, places in used), default=0))
    return tuple((n, tuple(p + before for p in places), slice_of(taps)) for n, places, taps in found), before, behind


@remembered
def reaching(size, kernel, stride, dilation, pads, places):
    """For each pixel: (the first tap that meets it, how many do, the place of the window where that first one does).

    int64 (size, 3). The taps are counted from the window's far end: so the places go up as the taps do.
    """
    table = np.zeros((size, 3), np.int64)
    for y in range(size):
        ways = [(i, *divmod(y + pads[0] - (kernel - 1 - i) * dilation, stride)) for i in range(kernel)]
        met = [(i, o) for i, o, rest in ways if rest == 0 and 0 <= o < places]
        if met:
            table[y] = met[0][0], len(met), met[0][1]
    return table


def slice_of(taps):
    """Window rows that are equally far apart, as a slice: indexing by it copies nothing. None if there are none."""
    if not taps:
        return None
    return slice(taps[0], taps[-1] + 1, taps[1] - taps[0] if len(taps) > 1 else 1)
