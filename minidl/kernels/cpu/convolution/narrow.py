"""The input gradient of a convolution with few channels, such as a network's first.

A product whose columns are the channels, as in `direct.py`, would leave most SIMD lanes empty. But one row of a window
covers KW * C contiguous elements of x, which are the columns here. The rows are the window positions ox:

    row iy, pixels ox * sw ... ox * sw + KW - 1  +=  sum over oy, ky of  grad[oy, ox] @ weight[ky]

where  oy * sh + ky * dh = iy + top.  Neighbouring windows overlap, but windows ceil(KW / SW) apart do not. Each row of
x is therefore accumulated in that many passes over disjoint windows. For a window of 3 pixels and stride 1:

    pixels    0  1  2  3  4  5  6  7
    pass 0   [ ox = 0][ ox = 3]
    pass 1      [ ox = 1][ ox = 4]
    pass 2         [ ox = 2][ ox = 5]

A thread accumulates one row of x in a line buffer, padding included, and then copies the pixels of the image. Rows of
grad outside the image are never read: a schedule says for each row of x which window rows read it.
"""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.convolution.tap_tables import (
    TapRange,
    as_table,
    axes,
    cached,
    input_steps,
    tap_offsets,
    taps_per_input,
)
from minidl.kernels.cpu.gemm.packing import copy_rows, pack_panels, panel_width
from minidl.kernels.cpu.layout import channels_last, logical
from minidl.kernels.cpu.llvm.gemm_microkernel import BPanel, RowPointers, TapOffsets, gemm_microkernel, tile_shape
from minidl.kernels.cpu.runtime.compile import inner, kernel
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.target import MR
from minidl.kernels.cpu.runtime.work import ceil_div, share

EMPTY_ROWS = 0.1        # of the rows of tiles, at most: images are processed together until no more are empty


class Lines(NamedTuple):
    """The line buffer of a thread, one row of x for each of `images`, and its passes."""

    images: int
    passes: int
    step: int           # elements from window to window: SW * C
    left: int           # elements of padding before the image


def conv2d_input_gradient(grad, weight, shape, window, bias=None):
    """As in plain, with one group and dilation 1 across, so that a row of the window is contiguous."""
    (n, c, h, w), (f, _, kh, kw), ow = shape, weight.shape, grad.shape[3]
    rows, columns = axes(window, (h, w))
    order, schedule = row_schedule(rows)
    filters = pack_panels(weight.transpose(2, 0, 3, 1)[order].reshape(kh, 1, f, 1, kw * c))
    passes = min(ow, ceil_div(kw, columns.stride))
    left = columns.pads[0]
    line = np.zeros((max(left + w, (ow - 1) * columns.stride + kw), c), grad.dtype)
    if bias is not None:
        line[:] = bias
    grad, out = channels_last(grad), empty((n, h, w, c), grad.dtype)
    offsets = tap_offsets(1, range(kh), (0,), 0, input_steps(rows)[0] * grad.strides[1], 0)
    lines = Lines(images_together(n, ow, passes), passes, columns.stride * c, left * c)
    accumulate_rows(grad, schedule, offsets, filters.pointer(), lines, line.ravel(), out)
    return logical(out)


@cached
def row_schedule(axis):
    """An order of the window rows; and for each row of x, the range of them that read it: a table of TapRange.

    In that order, the window rows that read the same row of x follow each other, and so do the rows of grad that they
    multiply, `input_steps` apart.
    """
    tap_step = input_steps(axis)[1]
    order = sorted(range(axis.kernel), key=lambda ky: (ky % tap_step, -ky))
    ranges = [TapRange(*row) for row in taps_per_input(axis).tolist()]
    return order, as_table([r._replace(tap=order.index(axis.kernel - 1 - r.tap)) for r in ranges], TapRange)


def images_together(n, outputs, passes):
    """How many of n images are processed together, so that the windows of a pass fill tiles."""
    windows = max(1, ceil_div(outputs, max(1, passes)))                  # of one image, in a pass
    return next(i for i in range(1, MR + 1) if i >= n or -i * windows % MR <= EMPTY_ROWS * i * windows)


@kernel
def accumulate_rows(thread, threads, grad, schedule, offsets, filters, lines, line, out):
    """out = the sum of grad times the filters over the windows that cover each pixel

    grad (N, OH, OW, F), out (N, H, W, C);  filters: a PackedBPointer;  line: from which each row starts, (WIDTH * C,)
    A work unit is one row of `lines.images` images.
    """
    n, oh, ow, f = grad.shape
    _, h, w, c = out.shape
    size, line_bytes, out_row = grad.itemsize, line.nbytes, w * c * grad.itemsize
    pointers = np.empty((2, MR), np.int64)
    buffer = np.empty((lines.images + 1) * len(line), grad.dtype)                # one more line for rows past the last
    for unit in share(thread, threads, ceil_div(n, lines.images) * h):
        image, iy = unit // h * lines.images, unit % h
        images, taps = min(lines.images, n - image), schedule[iy]
        copy_rows(grad, line.ctypes.data, 0, lines.images + 1, len(line), buffer.ctypes.data, line_bytes)
        source = grad.ctypes.data + (image * oh + taps.source) * ow * f * size
        tap_rows = TapOffsets(offsets.ctypes.data, taps.count, f, size)
        b = filters.address + taps.tap * f * filters.row_stride
        for first in range(lines.passes if taps.count > 0 else 0):
            i, ox = 0, first
            while i < images:
                for m in range(MR):
                    if i < images:
                        pointers[0, m] = source + (i * oh * ow + ox) * f * size
                        pointers[1, m] = buffer.ctypes.data + i * line_bytes + ox * lines.step * size
                    else:
                        pointers[0, m], pointers[1, m] = source, buffer.ctypes.data + lines.images * line_bytes
                    ox += lines.passes
                    if ox >= ow:
                        i, ox = i + 1, first
                add_tile(grad, pointers, tap_rows, b, filters)
        copy_rows(grad, buffer.ctypes.data + lines.left * size, line_bytes, images, w * c,
                  out.ctypes.data + (image * h + iy) * out_row, h * out_row)


@inner
def add_tile(like, pointers, taps, b, filters):
    """Add to MR rows of C the product of MR rows of A and the filters, whose first row is at address b."""
    width = panel_width(like)
    for column in range(0, filters.columns, width):
        columns = min(width, filters.columns - column)
        gemm_microkernel(like, tile_shape(like, columns),
                         RowPointers(pointers.ctypes.data, pointers.ctypes.data + MR * 8, column * like.itemsize), taps,
                         BPanel(b + column // width * filters.panel_stride, filters.row_stride), 0, columns, 0)
