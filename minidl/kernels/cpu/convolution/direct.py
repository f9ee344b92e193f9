"""Direct convolution as indirect GEMM: the windows are read where they lie, and only a border of zeros is copied.

M. Dukhan, "The indirect convolution algorithm", arXiv:1907.02129. In channels-last memory, a row of a window is
KW * C contiguous elements. Output pixel (n, oy, ox) is therefore a sum over KH such rows, each multiplied by a row of
the weight. As a matrix product, it needs a pointer for each output pixel, and an offset for each row of the window,
which all pixels share. A 2x2 window over an image of 4 columns, a letter for each pixel:

    image        A = row pointer | + offset 0 | + offset of one image row
    a b c d          a           |  a b       |  e f                           output pixel (0, 0)
    e f g h          b           |  b c       |  f g                                        (0, 1)
    i j k l          c           |  c d       |  g h                                        (0, 2)
                     e           |  e f       |  i j                                        (1, 0)

im2col would copy all of A; here only the row pointers are stored, and only a few at a time. Each function below says
what the rows of A, B and C are for its sum. Strides are in bytes: `image`, `row` and `pixel` lead from one image, row
or pixel to the next, `size` from element to element.
"""

import itertools

import numpy as np

from minidl.kernels.cpu.convolution.tap_tables import axes, phases, tap_offsets, valid_taps
from minidl.kernels.cpu.gemm.indirect import Epilogue, Operand, TapTable, indirect_gemm
from minidl.kernels.cpu.gemm.packing import PackedB, bias_row, pack_panels, panel_width
from minidl.kernels.cpu.layout import channels_last, fill_pixels, logical, padded
from minidl.kernels.cpu.runtime.memory_pool import empty
from minidl.kernels.cpu.runtime.work import REDUCTION_SPLITS

PARTIAL_BYTES = 2**20      # of all partial results of a weight gradient together, at most: adding them takes time too


def conv2d(x, weight, bias, window, groups=1, relu=False):
    """A tap is a row of the window if its pixels are contiguous, else one pixel."""
    f, cg, kh, kw = weight.shape
    fg, (oh, ow) = f // groups, window.out(x.shape[2:])
    (sh, sw), (dh, dw), top = window.stride, window.dilation, window.padding[0][0]
    per_row, length = (1, kw * cg) if groups == dw == 1 else (kw, cg)
    valid = valid_taps(oh, sh, range(-top, kh * dh - top, dh), x.shape[2], per_row)
    x = padded(channels_last(x), window.padding)
    image, row, pixel, size = x.strides
    out = empty((len(x), oh, ow, f), x.dtype)
    indirect_gemm(
        (len(x), oh, ow),
        Operand(x, 0, (image, sh * row, sw * pixel)),
        TapTable(tap_offsets(groups, range(kh), range(per_row), cg * size, dh * row, dw * pixel), length, size, valid),
        pack_panels(weight.transpose(2, 3, 1, 0).reshape(kh, kw, cg, groups, fg)),
        Operand(out, 0, out.strides[:3], fg * size),
        Epilogue(bias_row(x, bias, fg, groups), int(relu)))
    return logical(out)


def conv2d_input_gradient(grad, weight, shape, window, groups=1, bias=None):
    """A convolution of stride 1 over grad for each pair of a row phase and a column phase of x: see `phases`."""
    if groups == 1 and window.side_by_side(shape[2:]):
        return input_gradient_side_by_side(grad, weight, shape, bias)
    n, c, h, w = shape
    oh, fg, cg, (sh, sw) = grad.shape[2], len(weight) // groups, c // groups, window.stride
    (row_phases, row_pads), (column_phases, column_pads) = map(phases, axes(window, (h, w)))
    grad, out = padded(channels_last(grad), (row_pads, column_pads)), empty((n, h, w, c), grad.dtype)
    _, row, pixel, size = grad.strides
    out_image, out_row, out_pixel, _ = out.strides
    filters = weight.transpose(2, 3, 0, 1).reshape(*window.kernel, groups, fg, cg)
    filters = filters.transpose(0, 1, 3, 2, 4)                                    # (KH, KW, F/groups, groups, C/groups)
    epilogue = Epilogue(bias_row(grad, bias, cg, groups))
    if not all(phase.starts for phase in (*row_phases, *column_phases)):
        fill_pixels(bias_row(grad, bias, c)[:c], out)                             # some pixels are in no window
    for (y, down), (x, across) in itertools.product(enumerate(row_phases), enumerate(column_phases)):
        if down.count and across.count and down.starts and across.starts:
            valid = valid_taps(down.count, 1, tuple(o - row_pads[0] for o in down.starts), oh, len(across.starts))
            offsets = tap_offsets(groups, down.starts, across.starts, fg * size, row, pixel)
            indirect_gemm(
                (n, down.count, across.count),
                Operand(grad, 0, grad.strides[:3]),
                TapTable(offsets, fg, size, valid),
                pack_panels(filters[down.taps, across.taps]),
                Operand(out, y * out_row + x * out_pixel, (out_image, sh * out_row, sw * out_pixel), cg * size),
                epilogue)
    return logical(out)


def input_gradient_side_by_side(grad, weight, shape, bias):
    """The same for windows side by side: each pixel of grad, times the weight, is the gradient of its own window.

    A row of the window is KW * C contiguous elements, the columns of a product. The KH rows are its groups, which all
    read the same pixel.
    """
    (f, c, kh, kw), (n, _, h, w) = weight.shape, shape
    grad, out = channels_last(grad), empty((n, h, w, c), grad.dtype)
    image, row, pixel, size = out.strides
    bias = None if bias is None else np.tile(bias, kh * kw)
    indirect_gemm(
        grad.shape[:3],
        Operand(grad, 0, grad.strides[:3]),
        TapTable(np.zeros((kh, 1), np.int64), f, size),
        pack_panels(weight.transpose(0, 2, 3, 1).reshape(1, 1, f, kh, kw * c)),
        Operand(out, 0, (image, kh * row, kw * pixel), row),
        Epilogue(bias_row(grad, bias, kw * c, kh)))
    return logical(out)


def conv2d_weight_gradient(grad, x, window, groups=1):
    """dw[f, c, ky, kx] = sum over n, oy, ox of grad[n, f, oy, ox] * x[n, c, oy*sh + ky*dh, ox*sw + kx*dw]

    The rows of the product are (ky, kx, c). Its inner length runs over all output pixels, and a tap is an output row.
    """
    (n, f, oh, ow), (kh, kw) = grad.shape, window.kernel
    (sh, sw), (dh, dw) = window.stride, window.dilation
    x, grad = padded(channels_last(x), window.padding), channels_last(grad)
    image, row, pixel, size = x.strides
    fg, cg = f // groups, x.shape[3] // groups
    offsets = tap_offsets(groups, range(n), range(oh), cg * size, image, sh * row)
    out = empty((kh, kw, cg, f), x.dtype)
    if not offsets.size:
        out[...] = 0                                                              # an empty batch
    splits = max(1, min(REDUCTION_SPLITS, offsets.shape[1], PARTIAL_BYTES // max(1, out.nbytes)))
    partial = out[None] if splits == 1 else empty((splits, *out.shape), x.dtype)
    indirect_gemm(
        (kh, kw, cg),
        Operand(x, 0, (dh * row, dw * pixel, size)),
        TapTable(offsets, ow, sw * pixel),
        PackedB(grad, fg, fg * size, panel_width(x) * size, f * size),
        Operand(partial, 0, out.strides[:3], fg * size, out.nbytes),
        Epilogue(bias_row(x, None, fg, groups)), splits)
    if splits > 1:
        partial.sum(0, out=out)
    return out.transpose(3, 2, 0, 1)
