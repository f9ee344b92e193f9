"""Solutions of the exercises of chapter 9."""

from typing import NamedTuple

import numpy as np


def packed(b, nr):
    """The matrix b (K, N) as panels of nr columns, the last one padded by zeros: a contiguous array (panels, K, nr)."""
    k, n = b.shape
    panels = np.zeros((-(-n // nr), k, nr), b.dtype)
    for p, panel in enumerate(panels):
        columns = b[:, p * nr:(p + 1) * nr]
        panel[:, :columns.shape[1]] = columns
    return panels


def tiled(a, b, mr, nr, kc):
    """a @ b for float32 or float64 matrices of any sizes, tile by tile, in the dtype of a."""
    panels = packed(b, nr)
    out = np.zeros((len(a), len(panels) * nr), a.dtype)
    for k0 in range(0, a.shape[1], kc):
        for p, panel in enumerate(panels):
            for m in range(0, len(a), mr):
                rows = a[m:m + mr]
                sums = np.zeros((len(rows), nr), a.dtype)                # the registers
                for k in range(k0, min(k0 + kc, a.shape[1])):
                    sums += rows[:, k, None] * panel[k]
                out[m:m + mr, p * nr:(p + 1) * nr] += sums
    return out[:, :b.shape[1]]


class Roof(NamedTuple):
    """What a layer needs at least: operations and bytes, each array moved once."""

    flops: int
    moved: int

    @classmethod
    def of_convolution(cls, x_shape, filters, kernel, itemsize=4):
        """Of a convolution of x (N, C, H, W) with `filters` filters of kernel x kernel and stride 1, padded."""
        n, c, h, w = x_shape
        pixels, weights = n * h * w, filters * c * kernel**2
        return cls(2 * pixels * weights, itemsize * (pixels * (c + filters) + weights))

    def least_seconds(self, peak, bandwidth):
        """The pair (least time, its limit), given operations and bytes per second: "arithmetic" or "memory"."""
        arithmetic, memory = self.flops / peak, self.moved / bandwidth
        return (arithmetic, "arithmetic") if arithmetic > memory else (memory, "memory")
