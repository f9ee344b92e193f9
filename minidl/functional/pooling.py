"""Pooling: one number for each window of each channel, its maximum or its mean.

The arithmetic stands in `kernels/`. The adaptive kinds say how many windows there are to be, and are ordinary pooling
where that divides the image evenly.
"""

import itertools
import math
from numbers import Integral

from minidl.device import array_module
from minidl.functional.convolution import pair, window_of
from minidl.kernels import Window, backend
from minidl.tensor import op


@op
def max_pool2d(x, /, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, *, relu=False):
    """The largest element of each window.   (N, C, H, W) -> (N, C, OH, OW)

    The stride is the kernel's size unless given. Padding never wins. With `ceil_mode`, a window may end outside the
    padded image, if it begins inside the image or its left or top padding.
    Where several elements share the maximum, the first takes the gradient.
    relu  max(out, 0) in the same pass over memory, which PyTorch's function has not; pooling max(x, 0) gives the same
    """
    window = pooling_window("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    kernels, shape = backend(x), x.shape
    out, place = kernels.max_pool2d(x, window, relu)

    def backward(grad):
        return kernels.max_pool2d_gradient(grad, place, shape, window)
    return out, backward


@op
def avg_pool2d(x, /, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
               divisor_override=None):
    """The sum of each window, padding counted as zeros, over its number of pixels.   (N, C, H, W) -> (N, C, OH, OW)

    Pixels of the padding count unless `count_include_pad` is False; those that `ceil_mode` adds beyond never do.
    `divisor_override` is a number to divide by instead.
    """
    window = pooling_window("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None and (not isinstance(divisor_override, Integral) or divisor_override == 0):
        raise ValueError(f"avg_pool2d: divisor_override={divisor_override!r} must be a whole number other than 0, or "
                         f"None")
    share = shares(x, window, count_include_pad) if divisor_override is None else 1 / int(divisor_override)
    kernels, shape = backend(x), x.shape

    def backward(grad):
        return kernels.avg_pool2d_gradient(grad, shape, window, share)
    return kernels.avg_pool2d(x, window, share), backward


def shares(x, window, count_include_pad):
    """1 / the number of pixels that count in each window: a number if all are alike, else an array (OH, OW).

    The padding before the image, `near`, is as wide as the user said; behind it, so much counts and no more.
    """
    counts = []
    for n, k, s, (near, _), places in zip(x.shape[2:], window.kernel, window.stride, window.padding,
                                          window.out(x.shape[2:]), strict=True):
        first, last = (-near, n + near) if count_include_pad else (0, n)
        begins = [o * s - near for o in range(places)]
        counts.append([min(begin + k, last) - max(begin, first) for begin in begins])
    if all(len(set(some)) == 1 for some in counts):
        return 1 / (counts[0][0] * counts[1][0])
    return array_module(x).asarray([[1 / (rows * columns) for columns in counts[1]] for rows in counts[0]],
                                   dtype=x.dtype)


@op
def adaptive_avg_pool2d(x, /, output_size):
    """The mean over OH x OW nearly equal, perhaps overlapping parts of each image.   (N, C, H, W) -> (N, C, OH, OW)

    Part i of n spans the rows floor(i*H/n) up to ceil((i+1)*H/n). None in `output_size` keeps a length.
    """
    oh, ow = adaptive_size("adaptive_avg_pool2d", x, output_size)
    (h, w), shape, kernels = x.shape[2:], x.shape, backend(x)
    if h % oh == 0 and w % ow == 0:                          # equal parts: ordinary pooling
        window = Window((h // oh, w // ow), (h // oh, w // ow))
        share = 1 / math.prod(window.kernel)

        def backward(grad):
            return kernels.avg_pool2d_gradient(grad, shape, window, share)
        return kernels.avg_pool2d(x, window, share), backward

    rows, columns = averaging(x, h, oh), averaging(x, w, ow)

    def backward(grad):
        return rows.T @ grad @ columns
    return rows @ x @ columns.T, backward


def averaging(x, n, parts):
    """The matrix (parts, n) that takes n numbers to the means of `parts` parts."""
    xp = array_module(x)
    i, j = xp.arange(parts)[:, None], xp.arange(n)
    inside = ((j >= i * n // parts) & (j < -(-(i + 1) * n // parts))).astype(x.dtype)
    return inside / inside.sum(1, keepdims=True)


@op
def adaptive_max_pool2d(x, /, output_size):
    """The largest element of OH x OW nearly equal, perhaps overlapping parts.   (N, C, H, W) -> (N, C, OH, OW)

    The parts are those of `adaptive_avg_pool2d`.
    """
    oh, ow = adaptive_size("adaptive_max_pool2d", x, output_size)
    (h, w), shape, kernels = x.shape[2:], x.shape, backend(x)
    if h % oh == 0 and w % ow == 0:                          # equal parts: ordinary pooling
        window = Window((h // oh, w // ow), (h // oh, w // ow))
        out, place = kernels.max_pool2d(x, window)

        def backward(grad):
            return kernels.max_pool2d_gradient(grad, place, shape, window)
        return out, backward

    xp, out, places = array_module(x), array_module(x).empty((*shape[:2], oh, ow), dtype=x.dtype), {}
    for i, j, rows, columns in parts(h, w, oh, ow):
        part = x[:, :, rows, columns].reshape(*shape[:2], (rows.stop - rows.start) * (columns.stop - columns.start))
        place = places[i, j] = part.argmax(-1)[..., None]
        out[:, :, i, j] = xp.take_along_axis(part, place, -1)[..., 0]

    def backward(grad):
        dx = xp.zeros(shape, dtype=grad.dtype)
        for i, j, rows, columns in parts(h, w, oh, ow):
            size = rows.stop - rows.start, columns.stop - columns.start
            won = xp.arange(math.prod(size)) == places[i, j]                                     # (N, C, part's pixels)
            dx[:, :, rows, columns] += (won * grad[:, :, i, j][..., None]).reshape(*shape[:2], *size)
        return dx
    return out, backward


def parts(h, w, oh, ow):
    """Place, rows and columns of each part: (i, j, slice, slice)."""
    for i, j in itertools.product(range(oh), range(ow)):
        yield (i, j, *(slice(o * n // of, -(-(o + 1) * n // of)) for o, n, of in ((i, h, oh), (j, w, ow))))


def adaptive_size(name, x, output_size):
    """(OH, OW) from one length or two, None for the image's own; checked."""
    check_images(name, x)
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    return pair(name, "output_size", tuple(x.shape[2 + i] if o is None and i < 2 else o for i, o in enumerate(wanted)),
                1)


def pooling_window(name, x, kernel_size, stride, padding, dilation=1, ceil_mode=False):
    """The Window of a pooling layer, checked as PyTorch does: padding at most half of the kernel.

    With `ceil_mode`, it has more padding at the bottom and on the right: what the last windows need.
    """
    check_images(name, x)
    stride, size = kernel_size if stride is None else stride, x.shape[2:]
    if ceil_mode:                                            # the last window may reach over the edge by so much
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


def check_images(name, x):
    """Raise unless x is a batch of images of floats."""
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be images (N, C, H, W), not {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: x must hold floats, not {x.dtype}; convert with .astype(numpy.float32)")
