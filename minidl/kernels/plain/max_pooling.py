"""Max pooling, as array code: a window's elements become an axis, and NumPy takes the largest along it."""

import math

from minidl.device import array_module
from minidl.kernels.geometry import Window
from minidl.kernels.plain.convolution import col2im, pad, windows


def max_pool2d(x, window, relu=False):
    """The largest element of each window, and where in the window it was (i * KW + j, the first if several).

    x (N, C, H, W)  ->  (N, C, OH, OW), uint8 or uint16 (N, C, OH, OW). NaN counts as larger than every number.
    With `relu`, max(out, 0); where no element is larger than 0, the place is the largest number of its type.
    """
    xp = array_module(x)
    view = windows(pad(x, window, -math.inf), window._replace(padding=Window._field_defaults["padding"]))
    n, oh, ow, c, kh, kw = view.shape
    places = view.reshape(n, oh, ow, c, kh * kw)
    place = places.argmax(-1)
    out = xp.take_along_axis(places, place[..., None], -1)[..., 0]
    place = place.astype(xp.uint8 if kh * kw < 256 else xp.uint16)
    if relu:
        place[out <= 0] = xp.iinfo(place.dtype).max
        out = xp.maximum(out, 0)
    return out.transpose(0, 3, 1, 2), place.transpose(0, 3, 1, 2)


def max_pool2d_gradient(grad, place, shape, window):
    """Each gradient goes to the element that won its window.   grad, place (N, C, OH, OW)  ->  (N, C, H, W) = shape"""
    xp = array_module(grad)
    kh, kw = window.kernel
    columns = xp.where(place[..., None] == xp.arange(kh * kw), grad[..., None], 0)       # (N, C, OH, OW, KH*KW)
    return col2im(columns.transpose(0, 2, 3, 1, 4), shape, window)
