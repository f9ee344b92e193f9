"""Max pooling as array code: the elements of each window become an axis, and argmax runs along it."""

import math

from minidl.device import array_module
from minidl.kernels.geometry import Window
from minidl.kernels.plain.convolution import col2im, pad, windows


def max_pool2d(x, window, relu=False):
    """The maximum of each window, and the winner: the tap ky * KW + kx that holds it, the first of equals.

    x (N, C, H, W)  ->  out (N, C, OH, OW), winner (N, C, OH, OW) of uint8, or uint16 for 256 taps and more
    NaN exceeds every number, and padding never wins, not even where all is -inf. With `relu`, out is max(out, 0); where
    that is 0, the winner is the largest number of its dtype, and no tap.
    """
    xp = array_module(x)
    view = windows(pad(x, window, -math.inf), window._replace(padding=Window._field_defaults["padding"]))
    n, oh, ow, c, kh, kw = view.shape
    elements = view.reshape(n, oh, ow, c, kh * kw)
    winner = elements.argmax(-1)
    out = xp.take_along_axis(elements, winner[..., None], -1)[..., 0]
    winner = xp.where(out == -math.inf, first_taps(x, window), winner)
    winner = winner.astype(xp.uint8 if kh * kw < 256 else xp.uint16)
    if relu:
        winner[out <= 0] = xp.iinfo(winner.dtype).max
        out = xp.maximum(out, 0)
    return out.transpose(0, 3, 1, 2), winner.transpose(0, 3, 1, 2)


def first_taps(x, window):
    """The first tap of each window that lies inside the image.   x (N, C, H, W)  ->  (OH, OW, 1)"""
    xp, size = array_module(x), x.shape[2:]
    firsts = []
    for n, out, kernel, stride, (before, _), step in zip(size, window.out(size), *window, strict=True):
        position = xp.arange(out)[:, None] * stride + xp.arange(kernel) * step - before
        firsts.append(((position >= 0) & (position < n)).argmax(1))
    return (firsts[0][:, None] * window.kernel[1] + firsts[1])[..., None]


def max_pool2d_gradient(grad, winner, shape, window):
    """Add each gradient to the winner of its window.   grad, winner (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    xp = array_module(grad)
    kh, kw = window.kernel
    columns = xp.where(winner[..., None] == xp.arange(kh * kw), grad[..., None], 0)      # (N, C, OH, OW, KH*KW)
    return col2im(columns.transpose(0, 2, 3, 1, 4), shape, window)
