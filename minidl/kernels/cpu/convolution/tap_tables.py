"""Tables of window taps: which of them lie inside the image, and where. Made once per geometry, and cached.

Along one axis, output o reads input i through tap k if

    i = o * stride + k * dilation - padding before

`taps_per_output` and `taps_per_input` list this relation from both sides. For example, a window of 3 taps with stride
2 and one pixel of padding before an axis of 4 inputs:

    input      -1   0   1   2   3
    output 0  [ 0   1   2 ]              taps_per_output[0]: 2 taps, from tap 1 on, over inputs 0 and 1
    output 1          [ 0   1   2 ]      taps_per_output[1]: 3 taps, from tap 0 on, over inputs 1 to 3
                        ^                taps_per_input[1]:  2 taps, tap 2 of output 0 and tap 0 of output 1
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.gemm.indirect import ALL_TAPS

cached = functools.lru_cache(maxsize=512)


class Axis(NamedTuple):
    """A Window along one axis of an image, with the number of inputs (size) and outputs (out)."""

    size: int
    kernel: int
    stride: int
    dilation: int
    pads: tuple
    out: int


class TapRange(NamedTuple):
    """`count` taps from `tap` on, and where the first of them reads: the taps of one output, or of one input."""

    tap: int
    count: int
    source: int


class Phase(NamedTuple):
    """Every stride-th input: `count` of them, read through the same taps, a slice of the window.

    starts[t] is the output that reads the first of these inputs through the t-th of the taps, counted in the padded
    gradient. Without taps, `taps` is None and `starts` empty.
    """

    count: int
    starts: tuple
    taps: slice


def as_table(rows, kind):
    """A list of `kind`, a NamedTuple of ints, as a structured array with its fields: kernels read `table[i].field`."""
    return np.array(rows, [(field, np.int64) for field in kind._fields])


@cached
def axes(window, size):
    """The rows and the columns of a Window over an image of `size` (H, W): two Axes"""
    return tuple(map(Axis, size, *window[:2], window.dilation, window.padding, window.out(size)))


@cached
def tap_offsets(groups, rows, columns, group_step, row_step, column_step):
    """The byte offset of the taps of each group: g * group_step + rows[ky] * row_step + columns[kx] * column_step.

    int64 (groups, taps), the taps row by row
    """
    rows, columns = np.array(rows, np.int64), np.array(columns, np.int64)
    taps = (rows[:, None] * row_step + columns * column_step).ravel()
    return np.arange(groups)[:, None] * group_step + taps


@cached
def valid_taps(outputs, stride, starts, size, taps_per_row):
    """For each output row, the half-open range of taps inside the image: int64 (outputs, 2), or ALL_TAPS.

    Row ky of the window of output oy reads input row oy * stride + starts[ky], and holds `taps_per_row` taps.
    """
    rows = np.arange(outputs)[:, None] * stride + np.array(starts)
    inside = (rows >= 0) & (rows < size)
    if inside.all():
        return ALL_TAPS
    first, count = inside.argmax(1), inside.sum(1)
    return np.stack([first, first + count], axis=1) * taps_per_row


@cached
def taps_per_output(axis):
    """The taps inside the image for each output; `source` is the input under the first: a table of TapRange"""
    table = []
    for o in range(axis.out):
        inputs = [o * axis.stride + k * axis.dilation - axis.pads[0] for k in range(axis.kernel)]
        inside = [(k, i) for k, i in enumerate(inputs) if 0 <= i < axis.size]
        table.append(TapRange(inside[0][0], len(inside), inside[0][1]) if inside else TapRange(0, 0, 0))
    return as_table(table, TapRange)


@cached
def taps_per_input(axis):
    """The taps that read each input; `source` is the output that does so through the first: a table of TapRange

    Taps are counted from the window's far end, so that outputs increase with taps. Both advance by `input_steps`.
    """
    table = []
    for i in range(axis.size):
        found = []
        for k in range(axis.kernel):
            o, rest = divmod(i + axis.pads[0] - (axis.kernel - 1 - k) * axis.dilation, axis.stride)
            if rest == 0 and 0 <= o < axis.out:
                found.append((k, o))
        table.append(TapRange(found[0][0], len(found), found[0][1]) if found else TapRange(0, 0, 0))
    return as_table(table, TapRange)


def input_steps(axis):
    """The steps (output, tap) from one of `taps_per_input` to the next: (d / g, s / g), with g = gcd(s, d)."""
    common = math.gcd(axis.stride, axis.dilation)
    return axis.dilation // common, axis.stride // common


@cached
def phases(axis):
    """The `stride` Phases of an axis, and the zeros (before, after) that they need around the gradient.

    Inputs r, r + stride, r + 2 * stride, ... are read through the same taps, by consecutive outputs: the input gradient
    of each phase is a convolution of stride 1 over the gradient of the outputs.
    """
    found = []
    for r in range(axis.stride):
        distances = [r + axis.pads[0] - k * axis.dilation for k in range(axis.kernel)]
        taps = [k for k, distance in enumerate(distances) if distance % axis.stride == 0]
        starts = tuple(distances[k] // axis.stride for k in taps)
        found.append(Phase(len(range(r, axis.size, axis.stride)), starts, as_slice(taps)))
    used = [phase for phase in found if phase.count and phase.starts]
    before = max(0, max((-min(phase.starts) for phase in used), default=0))
    after = max(0, max((max(phase.starts) + phase.count - axis.out for phase in used), default=0))
    return [phase._replace(starts=tuple(s + before for s in phase.starts)) for phase in found], (before, after)


def as_slice(taps):
    """Equally spaced taps as a slice, so that indexing copies nothing; None if there are none."""
    if not taps:
        return None
    return slice(taps[0], taps[-1] + 1, taps[1] - taps[0] if len(taps) > 1 else 1)
