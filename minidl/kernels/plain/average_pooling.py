"""Average pooling as array code: the sum of each window, and its transpose."""

from minidl.device import array_module
from minidl.kernels.plain.convolution import col2im, windows
from minidl.kernels.plain.reduction import axis_sums


def avg_pool2d(x, window, share):
    """The sum of each window, padding counted as zeros, times `share`: a number, or an array (OH, OW).

    x (N, C, H, W)  ->  (N, C, OH, OW)
    """
    sums = axis_sums(windows(x, window), (-2, -1))[..., 0, 0].transpose(0, 3, 1, 2)
    return (sums * share).astype(x.dtype)


def avg_pool2d_gradient(grad, shape, window, share):
    """Add each gradient times its share to all pixels of its window.   grad (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    kh, kw = window.kernel
    grad = (grad * share).transpose(0, 2, 3, 1)[..., None, None]
    return col2im(array_module(grad).broadcast_to(grad, (*grad.shape[:4], kh, kw)), shape, window)
