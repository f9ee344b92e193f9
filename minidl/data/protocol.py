"""What a data set is to a DataLoader: `len()`, and `batch(indices)`.

A set that augments its images says so by the parameters of its `batch`:

    class Flipped(ImageDataset):
        def batch(self, indices, epoch=None, seed=0):
            images, labels = super().batch(indices)
            if epoch is not None:                    # None: in evaluation
                for image, index in zip(images, indices):
                    if random_generator(seed, epoch, index).random() < 0.5:
                        image[:] = image[..., ::-1].copy()
            return images, labels

Random numbers that come from (seed, epoch, index) depend on nothing else: neither on batches and threads, nor on where
a run was interrupted and resumed.
"""

import functools
import inspect
from typing import Any, Protocol

import numpy as np

Batch = tuple[np.ndarray, np.ndarray]


class Dataset(Protocol):
    """What a DataLoader needs of a data set, such as ImageDataset.

    `batch` may also take the settings `epoch`, `seed`, and `visits` (n,), which says how often each image was in the
    epoch before, if a loader is balanced; or some of them. In evaluation it is given none, so all need defaults.
    """

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray, /) -> Batch: ...


def random_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one image in one epoch: independent of those of any other image, epoch or seed."""
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=(int(epoch), int(index))))


def make_batch(dataset: Dataset, indices: np.ndarray, **known: Any) -> Batch:
    """`dataset.batch(indices)`, with those of the settings `known` that it takes."""
    taken = parameters_of(dataset)
    return dataset.batch(indices, **{name: value for name, value in known.items() if {name, "**"} & taken})


def parameters_of(dataset: Dataset) -> frozenset[str]:
    """The names of the parameters of a data set's `batch`, of a part those of the whole set; "**" stands for any."""
    of_whole = getattr(dataset, "batch_parameters", None)
    return _parameters(getattr(dataset.batch, "__func__", dataset.batch)) if of_whole is None else of_whole


@functools.lru_cache(maxsize=256)
def _parameters(function: Any) -> frozenset[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):              # a function of C, which has no signature
        return frozenset()
    return frozenset("**" if parameter.kind is parameter.VAR_KEYWORD else parameter.name for parameter in parameters)


def check_dataset(dataset: Any) -> None:
    """Raise TypeError, with what to do, unless `dataset` has what a DataLoader needs."""
    kind = f"{type(dataset).__module__}.{type(dataset).__qualname__}".removeprefix("builtins.")
    if not (callable(getattr(dataset, "batch", None)) and hasattr(dataset, "__len__")):
        raise TypeError(
            f"a {kind} is not a data set, which has `len()` and a method `batch(indices)` that returns the images "
            "float32 (n, C, H, W) and labels int64 (n,) at these indices. Make a minidl.data.ImageDataset of arrays; a "
            "class with `__getitem__`, as for PyTorch, needs `batch` instead"
        )
    item, batch = defining(dataset, "__getitem__"), defining(dataset, "batch")
    if item is not batch and batch is not object and issubclass(item, batch):
        raise TypeError(f"{kind} has a `__getitem__` of its own, but the `batch` of {batch.__name__}, from which "
                        "batches come: what it does to its images belongs into `batch(indices)`")


def defining(dataset: Any, name: str) -> type:
    """The class in which an attribute of a data set is defined; `object` if it is in none."""
    return next((kind for kind in type(dataset).__mro__ if name in vars(kind)), object)
