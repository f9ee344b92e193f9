"""Pooling: one number for each window of each channel, its maximum or its mean."""

from minidl.device import array_module
from minidl.functional.convolution import pair, window_of
from minidl.kernels import Window, kernels_for
from minidl.tensor import op


@op
def max_pool2d(x, /, kernel_size, stride=None, padding=0):
    """The largest element of each window.   (N, C, H, W) -> (N, C, OH, OW)

    The stride is the kernel's size unless given. Padding never wins.
    Where several elements share the maximum, the first takes the gradient.
    """
    window = pooling_window("max_pool2d", x, kernel_size, stride, padding)
    kernels, shape = kernels_for(x), x.shape
    out, place = kernels.max_pool2d(x, window)

    def backward(grad):
        return kernels.max_pool2d_gradient(grad, place, shape, window)
    return out, backward


@op
def avg_pool2d(x, /, kernel_size, stride=None, padding=0):
    """The mean of each window, padding counted as zeros.   (N, C, H, W) -> (N, C, OH, OW)"""
    window = pooling_window("avg_pool2d", x, kernel_size, stride, padding)
    kernels, shape = kernels_for(x), x.shape

    def backward(grad):
        return kernels.avg_pool2d_gradient(grad, shape, window)
    return kernels.avg_pool2d(x, window), backward


@op
def adaptive_avg_pool2d(x, /, output_size):
    """The mean over OH x OW nearly equal, perhaps overlapping parts of each image.   (N, C, H, W) -> (N, C, OH, OW)

    Part i of n spans the rows floor(i*H/n) up to ceil((i+1)*H/n). None in `output_size` keeps a length.
    """
    check_images("adaptive_avg_pool2d", x)
    size = x.shape[2:]
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    wanted = tuple(size[i] if o is None else o for i, o in enumerate(wanted))
    oh, ow = pair("adaptive_avg_pool2d", "output_size", wanted, 1)
    if size[0] % oh == 0 and size[1] % ow == 0:              # equal parts: ordinary pooling
        kernel = (size[0] // oh, size[1] // ow)
        window, kernels, shape = Window(kernel, kernel), kernels_for(x), x.shape

        def backward(grad):
            return kernels.avg_pool2d_gradient(grad, shape, window)
        return kernels.avg_pool2d(x, window), backward

    rows, columns = averaging(x, size[0], oh), averaging(x, size[1], ow)

    def backward(grad):
        return rows.T @ grad @ columns
    return rows @ x @ columns.T, backward


def averaging(x, n, parts):
    """The matrix (parts, n) that takes n numbers to the means of `parts` parts."""
    xp = array_module(x)
    i, j = xp.arange(parts)[:, None], xp.arange(n)
    inside = ((j >= i * n // parts) & (j < -(-(i + 1) * n // parts))).astype(x.dtype)
    return inside / inside.sum(1, keepdims=True)


def pooling_window(name, x, kernel_size, stride, padding):
    """The Window of a pooling layer, checked as PyTorch does: padding at most half of the kernel."""
    check_images(name, x)
    window = window_of(name, x, kernel_size, kernel_size if stride is None else stride, padding)
    if any(2 * p > k for (p, _), k in zip(window.padding, window.kernel, strict=True)):
        raise ValueError(f"{name}: padding={padding} must be at most half of kernel_size={kernel_size}")
    return window


def check_images(name, x):
    """Raise unless x is a batch of images of floats."""
    if x.ndim != 4:
        raise ValueError(f"{name}: x must be images (N, C, H, W), not {x.shape}")
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: x must hold floats, not {x.dtype}; convert with .astype(numpy.float32)")
