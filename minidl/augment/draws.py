"""Random numbers for the images of a batch that depend on nothing but the seed, the epoch and the image.

The order of the images, the size of the batches, the number of workers, and whether a run was interrupted make no
difference. Generators of NumPy would be slow to create for each image; here a number is a bijection of a counter.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.device import generator
from minidl.kernels.plain.augmentation import GOLDEN, mixed


class Draws:
    """Random numbers for images: each call of a method returns one number for each image, an array (N,).

    seed, epoch   whole numbers
    indices       (N,), which image of the data set each image is
    """

    def __init__(self, seed: int, epoch: int, indices: Any) -> None:
        run = mixed(np.array([seed], np.uint64) + GOLDEN)
        self.keys = mixed(mixed(run ^ np.uint64(epoch)) ^ np.asarray(indices, np.uint64))
        self.lasting = mixed(mixed(~run) ^ np.asarray(indices, np.uint64))
        self.epoch, self.calls = epoch, 0

    @classmethod
    def fresh(cls, count: int) -> "Draws":
        """Random numbers for `count` images, seeded from the stream that `minidl.manual_seed` restarts."""
        return cls(int(generator().integers(2**63)), 0, np.arange(count))

    def __len__(self) -> int:
        return len(self.keys)

    def bits(self) -> np.ndarray:
        """64 random bits, uint64."""
        self.calls += 1
        with np.errstate(over="ignore"):
            return mixed(self.keys + np.uint64(self.calls) * GOLDEN)

    def uniform(self, low: Any = 0.0, high: Any = 1.0) -> np.ndarray:
        """Uniform in [low, high), float64; the bounds are numbers or arrays (N,)."""
        return low + (self.bits() >> np.uint64(11)).astype(np.float64) * 2.0**-53 * (np.asarray(high) - low)

    def integers(self, low: Any, high: Any) -> np.ndarray:
        """Whole numbers from low to high, both included, int64; the bounds are numbers or arrays (N,)."""
        return np.floor(self.uniform(low, np.asarray(high) + 1)).astype(np.int64)

    def chance(self, p: float) -> np.ndarray:
        """True with probability p, bool."""
        return self.uniform() < p

    def order(self, count: int) -> np.ndarray:
        """A permutation of range(count) for each image, (N, count)."""
        return np.argsort(np.stack([self.uniform() for _ in range(count)], axis=1), axis=1)

    def some(self, chosen: np.ndarray) -> "Draws":
        """New random numbers for those of the images where `chosen` (N,) is true."""
        part = Draws.__new__(Draws)
        part.keys, part.lasting = self.bits()[chosen], self.lasting[chosen]
        part.epoch, part.calls = self.epoch, 0
        return part

    def every_epoch(self) -> "Draws":
        """Random numbers that are the same in every epoch of a run."""
        same = Draws.__new__(Draws)
        same.keys = same.lasting = self.lasting
        same.epoch, same.calls = self.epoch, 0
        return same

    def split(self, count: int) -> Iterator["Draws"]:
        """`count` independent sources of random numbers for the same images."""
        everyone = np.ones(len(self), bool)
        return (self.some(everyone) for _ in range(count))
