"""Exercises of chapter 9, why it is fast. `python -m pytest -n 0 docs/tour/exercises/test_chapter_09.py` tests them."""

from typing import NamedTuple


def packed(b, nr):
    """The matrix b (K, N) as panels of nr columns, the last one padded by zeros: a contiguous array (panels, K, nr).

    For nr = 4 and a row 0 1 2 3 4 5, panel 0 has the row 0 1 2 3, and panel 1 the row 4 5 0 0.
    """
    raise NotImplementedError("exercise 9.1: copy b into panels whose rows follow one another")


def tiled(a, b, mr, nr, kc):
    """a @ b for float32 or float64 matrices of any sizes, tile by tile, in the dtype of a.

    b is packed first. For each block of at most kc of the inner length, each panel of b and each mr rows of a, one tile
    of (at most mr, nr) sums begins with zeros, takes the outer product of a column of a and a row of the panel for each
    k of the block (`np.outer`, or broadcasting), and is added to the result at the end. Columns of padding are dropped.
    """
    raise NotImplementedError("exercise 9.2: sum one tile after the other")


class Roof(NamedTuple):
    """What a layer needs at least: operations and bytes, each array moved once."""

    flops: int
    moved: int

    @classmethod
    def of_convolution(cls, x_shape, filters, kernel, itemsize=4):
        """Of a convolution of x (N, C, H, W) with `filters` filters of kernel x kernel and stride 1.

        The images are padded, so the output is (N, filters, H, W). A multiply-add is two operations; those with zeros
        of the border count. x, the filters and the output are moved.
        """
        raise NotImplementedError("exercise 9.3: count the operations and the bytes of a convolution")

    def least_seconds(self, peak, bandwidth):
        """The pair (least time, its limit), given operations and bytes per second: "arithmetic" or "memory"."""
        raise NotImplementedError("exercise 9.3: the longer of two times, and which one it is")
