"""Pooling: each window of each channel is reduced to its maximum or its mean.

The arithmetic is in `kernels/`. Adaptive pooling is given the number of windows instead of their size; it is ordinary
pooling where that number divides the image evenly.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minidl.device import array_module
from minidl.functional.checks import Pair, check_images, check_pixels, is_whole, pair, unwrapped, window_of
from minidl.kernels import Taps, Window, backend
from minidl.tensor import Operand, op

OutputSize: TypeAlias = int | Sequence[int | None] | None


@op
def max_pool2d(x: Operand, /, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1,
               ceil_mode: bool = False, *, relu: bool = False):
    """The largest element of each window.   (N, C, H, W) -> (N, C, OH, OW)

    stride     by default `kernel_size`
    padding    is never the maximum
    ceil_mode  a window may end outside the padded image if it begins inside the image or its left or top padding
    relu       max(out, 0) in the same pass over memory, the same as pooling max(x, 0); PyTorch's function has no `relu`
    If several elements share the maximum, the first receives the gradient.
    """
    window = pooling_window("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return window_maxima(x, window, relu)


def window_maxima(x: Any, window: Window, relu: bool = False) -> Any:
    """The maximum of each window, and its backward."""
    kernels, shape = backend(x), x.shape
    out, winner = kernels.max_pool2d(x, window, relu)

    def backward(grad):
        return kernels.max_pool2d_gradient(grad, winner, shape, window)
    return out, backward


@op
def avg_pool2d(x: Operand, /, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None):
    """The sum of each window, with zeros as padding, divided by its size.   (N, C, H, W) -> (N, C, OH, OW)

    stride             by default `kernel_size`
    ceil_mode          as for max_pool2d
    count_include_pad  whether the size of a window includes padding; pixels that `ceil_mode` adds never count
    divisor_override   divide by this instead
    """
    window = pooling_window("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    divisor = unwrapped(divisor_override)
    if divisor is not None and (not is_whole(divisor) or divisor == 0):
        raise ValueError(f"avg_pool2d: divisor_override={divisor_override!r} must be a whole number other than 0, "
                         "or None")
    scale = scales(x, window, count_include_pad) if divisor is None else 1 / divisor
    return window_sums(x, window, scale)


def window_sums(x: Any, window: Window, scale: Any) -> Any:
    """`scale` * the sum of each window, and its backward."""
    kernels, shape = backend(x), x.shape

    def backward(grad):
        return kernels.avg_pool2d_gradient(grad, shape, window, scale)
    return kernels.avg_pool2d(x, window, scale), backward


def scales(x: Any, window: Window, count_include_pad: bool) -> Any:
    """1 / the number of pixels that count in each window: one number if all are equal, otherwise an array (OH, OW)."""
    (h, w), (oh, ow) = x.shape[2:], window.out(x.shape[2:])
    rows = lengths(h, oh, window.kernel[0], window.stride[0], window.padding[0][0], count_include_pad)
    columns = lengths(w, ow, window.kernel[1], window.stride[1], window.padding[1][0], count_include_pad)
    if len(set(rows)) == len(set(columns)) == 1:
        return 1 / (rows[0] * columns[0])
    return array_module(x).asarray([[1 / (row * column) for column in columns] for row in rows], dtype=x.dtype)


def lengths(n: int, out: int, kernel: int, stride: int, padding: int, count_include_pad: bool) -> list[int]:
    """How many pixels count in each of `out` windows over n pixels.

    The padding after the image counts up to the same width as the padding before it, which `ceil_mode` does not change.
    """
    first, last = (-padding, n + padding) if count_include_pad else (0, n)
    begins = [o * stride - padding for o in range(out)]
    return [min(begin + kernel, last) - max(begin, first) for begin in begins]


@op
def adaptive_avg_pool2d(x: Operand, /, output_size: OutputSize):
    """The mean of each of OH x OW nearly equal, possibly overlapping parts.   (N, C, H, W) -> (N, C, OH, OW)

    Part i of n spans the rows from floor(i*H/n) to ceil((i+1)*H/n). None in `output_size` keeps the length of x.
    """
    oh, ow = adaptive_size("adaptive_avg_pool2d", x, output_size)
    h, w = x.shape[2:]
    if h % oh == 0 and w % ow == 0:                          # parts of equal size: ordinary pooling
        window = Window((h // oh, w // ow), (h // oh, w // ow))
        return window_sums(x, window, 1 / math.prod(window.kernel))
    kernels, (rows, rows_transposed), (columns, columns_transposed) = backend(x), averaging(h, oh), averaging(w, ow)

    def backward(grad):
        return kernels.resample(grad, rows_transposed, columns_transposed)
    return kernels.resample(x, rows, columns), backward


@functools.lru_cache(maxsize=256)
def averaging(n: int, out: int) -> tuple[Taps, Taps]:
    """The Taps that map n elements to the means of `out` parts, and the transposed Taps for the gradient."""
    i = np.arange(out)[:, None]
    first, stop = i * n // out, -(-(i + 1) * n // out)
    index = first + np.arange((stop - first).max())
    taps = Taps(np.minimum(index, n - 1), (index < stop) / (stop - first))
    return taps, taps.transposed(n)


@op
def adaptive_max_pool2d(x: Operand, /, output_size: OutputSize):
    """The largest element of each of OH x OW nearly equal, possibly overlapping parts.   (N, C, H, W) -> (N, C, OH, OW)

    The parts are those of `adaptive_avg_pool2d`.
    """
    oh, ow = adaptive_size("adaptive_max_pool2d", x, output_size)
    (h, w), shape, kernels = x.shape[2:], x.shape, backend(x)
    if h % oh == 0 and w % ow == 0:                          # parts of equal size: ordinary pooling
        return window_maxima(x, Window((h // oh, w // ow), (h // oh, w // ow)))
    out, winner = kernels.adaptive_max_pool2d(x, (oh, ow))

    def backward(grad):
        return kernels.adaptive_max_pool2d_gradient(grad, winner, shape)
    return out, backward


def adaptive_size(name: str, x: Any, output_size: OutputSize) -> tuple[int, int]:
    """(OH, OW) from one length or two, where None stands for the length of x."""
    check_images(name, x)
    check_pixels(name, x)
    output_size = unwrapped(output_size)
    both = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    size = tuple(x.shape[2 + i] if o is None and i < 2 else o for i, o in enumerate(both))
    return pair(name, "output_size", size, 1)


def pooling_window(name: str, x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair = 1,
                   ceil_mode: bool = False) -> Window:
    """The Window of a pooling layer; as in PyTorch, the padding may be at most half of the kernel.

    With `ceil_mode`, it has as much additional padding at the bottom and on the right as the last windows need.
    """
    check_images(name, x)
    check_pixels(name, x)
    stride, size = kernel_size if stride is None else stride, x.shape[2:]
    if ceil_mode:                                            # the last window may exceed the edge by stride - 1
        size = tuple(n + s - 1 for n, s in zip(size, pair(name, "stride", stride, 1), strict=True))
    window = window_of(name, size, kernel_size, stride, padding, dilation)
    if any(2 * p > k for (p, _), k in zip(window.padding, window.kernel, strict=True)):
        raise ValueError(f"{name}: padding={padding} must be at most half of kernel_size={kernel_size}")
    if not ceil_mode:
        return window
    pads = []
    for n, extent, s, (near, far) in zip(x.shape[2:], window.extent, window.stride, window.padding, strict=True):
        last = -(-(n + near + far - extent) // s) * s                    # where the last window begins
        if last >= n + near:
            last -= s
        pads.append((near, max(far, last + extent - n - near)))
    return window._replace(padding=tuple(pads))
