"""Geometry as values: `Window`, how a window slides over an image, and `Taps`, the weighted inputs of each output.

Kernels take one of these instead of a dozen integers.
"""

from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """How a window slides over an image of any size.

    kernel (kh, kw), stride (sh, sw), padding ((top, bottom), (left, right)), dilation (dh, dw), all in pixels.
    """

    kernel: tuple
    stride: tuple = (1, 1)
    padding: tuple = ((0, 0), (0, 0))
    dilation: tuple = (1, 1)

    @property
    def extent(self):
        """Height and width of the area that one window spans: d * (k - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def out(self, size):
        """(OH, OW), the window positions on an image of `size` (H, W): floor((n + pads - extent) / s) + 1."""
        return tuple(
            (n + sum(pads) - extent) // s + 1
            for n, pads, extent, s in zip(size, self.padding, self.extent, self.stride, strict=True)
        )

    def padded(self, size):
        """(H, W) of an image of `size` after padding."""
        return tuple(n + sum(pads) for n, pads in zip(size, self.padding, strict=True))

    @property
    def disjoint(self):
        """Whether windows lie side by side from the first pixel on; the last pixels may be in none."""
        return self.kernel == self.stride and self.dilation == (1, 1) and not any(map(any, self.padding))

    def side_by_side(self, size):
        """Whether each pixel of an image of `size` (H, W) lies in exactly one window."""
        return self.disjoint and not any(n % k for n, k in zip(size, self.kernel, strict=True))


class Taps(NamedTuple):
    """out[o] = sum over t of weight[o, t] * x[index[o, t]];   index (int64), weight (float64): (outputs, taps)"""

    index: np.ndarray
    weight: np.ndarray

    def transposed(self, n):
        """The Taps of the gradient: from the outputs back to `n` inputs."""
        outputs_of = [[] for _ in range(n)]                              # for each input: (output, weight) pairs
        for o, pairs in enumerate(zip(self.index.tolist(), self.weight.tolist(), strict=True)):
            for i, weight in zip(*pairs, strict=True):
                if weight:
                    outputs_of[i].append((o, weight))
        taps = max(1, *map(len, outputs_of))
        table = np.array([pairs + [(0, 0.0)] * (taps - len(pairs)) for pairs in outputs_of])
        return Taps(table[..., 0].astype(np.int64), table[..., 1].copy())
