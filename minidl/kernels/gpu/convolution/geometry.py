"""What the kernels of convolution know of a window: the structure `Geometry` of windows.cuh, passed by value."""

import functools

import numpy as np

LENGTHS = ("n", "h", "w", "c", "oh", "ow", "f", "kh", "kw", "sh", "sw", "top", "left", "dh", "dw", "groups", "rows",
           "columns", "inner")
DIVISORS = "by_pixels", "by_columns", "by_inner", "by_kw"
GEOMETRY = np.dtype([(name, np.int32) for name in LENGTHS]
                    + [(name, [("multiplier", np.uint32), ("shift", np.int32)]) for name in DIVISORS])
MOST = 2**31 - 1                                     # elements of an index, and of an image


@functools.lru_cache(maxsize=4096)
def geometry(shape, f, window, groups, of_gradient=False):
    """The structure for images of `shape` (N, C, H, W) and f filters; `of_gradient` for the gradient by the images.

    The lines of the product are output pixels; those of the gradient are the pixels of one phase of the images.
    """
    (n, c, h, w), (sh, sw) = shape, window.stride
    (oh, ow), (kh, kw), ((top, _), (left, _)) = window.out((h, w)), window.kernel, window.padding
    rows, columns = (-(-h // sh), -(-w // sw)) if of_gradient else (oh, ow)
    inner = (f if of_gradient else c) // groups
    longest = max(n * rows * columns, h * w * c, oh * ow * f, kh * kw * inner)
    if longest > MOST:
        raise ValueError(f"conv2d: images {shape} and {f} filters of {kh}x{kw} need indexes up to {longest:,}, above "
                         f"{MOST:,}; use smaller batches or images")
    lengths = n, h, w, c, oh, ow, f, kh, kw, sh, sw, top, left, *window.dilation, groups, rows, columns, inner
    return np.array([(*lengths, *map(divisor, (rows * columns, columns, inner, kw)))], GEOMETRY)


def divisor(d):
    """(multiplier, shift) with n // d == n * multiplier >> shift for 0 <= n < 2**31."""
    d = max(d, 1)
    shift = 31 + (d - 1).bit_length()
    return -(-2**shift // d), shift
