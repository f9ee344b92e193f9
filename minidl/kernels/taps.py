"""The geometry of resampling along one axis: which inputs each output is made of.

Enlarging and shrinking by interpolation are such sums of a few neighbours, and so is padding by mirrored pixels. The
gradient of one is another: the same pairs of places, seen from the inputs.
"""

from typing import NamedTuple

import numpy as np


class Taps(NamedTuple):
    """out[o] = sum over t of weight[o, t] * x[index[o, t]];   index (int64), weight (float64): (outputs, taps)"""

    index: np.ndarray
    weight: np.ndarray

    def transposed(self, n):
        """The taps by which gradients go back from the outputs to `n` inputs."""
        users = [[] for _ in range(n)]                                   # of each input
        for o, pairs in enumerate(zip(self.index.tolist(), self.weight.tolist(), strict=True)):
            for i, weight in zip(*pairs, strict=True):
                if weight:
                    users[i].append((o, weight))
        most = max(1, *map(len, users))
        table = np.array([some + [(0, 0.0)] * (most - len(some)) for some in users])
        return Taps(table[..., 0].astype(np.int64), table[..., 1].copy())
