"""The geometry of a sliding window: one value instead of a dozen integers."""

from typing import NamedTuple


class Window(NamedTuple):
    """How a window slides over an image: everything but the image's own size.

    kernel (kh, kw), stride (sh, sw), padding ((top, bottom), (left, right)), dilation (dh, dw), all in pixels.
    """

    kernel: tuple
    stride: tuple = (1, 1)
    padding: tuple = ((0, 0), (0, 0))
    dilation: tuple = (1, 1)

    @property
    def extent(self):
        """Height and width of what one window spans: d * (k - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def out(self, size):
        """(OH, OW), the places of the window over an image of `size` (H, W): floor((n + pads - extent) / s) + 1."""
        return tuple(
            (n + sum(pads) - extent) // s + 1
            for n, pads, extent, s in zip(size, self.padding, self.extent, self.stride, strict=True)
        )

    def padded(self, size):
        """(H, W) of an image of `size` with its padding around it."""
        return tuple(n + sum(pads) for n, pads in zip(size, self.padding, strict=True))

    def side_by_side(self, size):
        """Whether each pixel of an image of `size` (H, W) lies in exactly one window."""
        return (self.kernel == self.stride and self.dilation == (1, 1) and not any(map(any, self.padding))
                and not any(n % k for n, k in zip(size, self.kernel, strict=True)))
