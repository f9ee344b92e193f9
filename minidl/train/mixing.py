"""Batches whose images are mixed in pairs, by MixUp or CutMix, where they are made: in the background.

How a batch is mixed depends on the seed, the epoch and which images it holds. The order of an epoch determines the
batches, so it is the same however many are prepared ahead, and after the run was resumed.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.augment import Draws
from minidl.augment.mix import Mix
from minidl.data.protocol import Batch, Dataset, make_batch, parameters_of

MIXING = 0x6D69782D62617463                      # keeps these random numbers apart from those of the images


class Mixed:
    """A data set for training, whose batches are mixed: the labels are probabilities float32 (n, classes).

    mixes   one of them is chosen at random for each batch
    """

    def __init__(self, dataset: Any, mixes: Sequence[Mix]) -> None:
        self.dataset: Dataset = dataset
        self.classes, self.mixes = dataset.classes, tuple(mixes)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def batch_parameters(self) -> frozenset[str]:
        """The seed and the epoch, which are needed here, and what the set itself takes."""
        return parameters_of(self.dataset) | {"epoch", "seed"}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":       # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def batch(self, indices: np.ndarray, epoch: int | None = None, seed: int = 0, **more: Any) -> Batch:
        known = {} if epoch is None else {"epoch": epoch, "seed": seed, **more}
        images, labels = make_batch(self.dataset, indices, **known)
        if epoch is None:
            return images, labels
        if labels.ndim != 1:
            raise ValueError(f"mix: masks {labels.shape} cannot be mixed; leave out mix=")
        draws = Draws(seed ^ MIXING, epoch, [zlib.crc32(np.asarray(indices, np.int64).tobytes())])
        mix = self.mixes[int(draws.integers(0, len(self.mixes) - 1)[0])]
        return mix(images, labels, len(self.classes), draws)


def mixes_of(mix: Any) -> tuple[Mix, ...]:
    """The setting `mix` of fit, None, a Mix or a list of them, as a tuple; TypeError for anything else."""
    mixes = () if mix is None else tuple(mix) if isinstance(mix, list | tuple) else (mix,)
    if not all(isinstance(each, Mix) for each in mixes):
        raise TypeError(f"fit: mix={mix!r} must be augment.MixUp(...), augment.CutMix(...) or a list of both")
    return mixes
