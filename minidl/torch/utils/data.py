"""PyTorch's data sets, which give one example at a time, and their loader.

A loader of minidl asks a data set for whole batches; `Examples` makes them of single ones. Batches are tensors here.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minidl import Tensor, missing
from minidl import data as ours
from minidl.scalars import plain, whole
from minidl.torch.creation import Generator, as_tensor, random, tensor

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "default_collate", "random_split"]


class Dataset:
    """A data set has `__len__` and `__getitem__`, which returns one example: tensors, arrays or numbers."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __class_getitem__(cls, kind: Any) -> Any:
        return cls                               # Dataset[int], as hints have it


class TensorDataset(Dataset):
    """Tensors of equal first length: example i is the i-th element of each."""

    def __init__(self, *tensors: Any):
        self.tensors = tuple(as_tensor(x) for x in tensors)
        if len({len(x) for x in self.tensors}) != 1:
            raise ValueError(f"TensorDataset: the tensors must have the same first length, not "
                             f"{', '.join(str(x.shape) for x in self.tensors)}")

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """Some examples of a data set, in the order of `indices`."""

    def __init__(self, dataset: Any, indices: Sequence[int]):
        self.dataset, self.indices = dataset, [int(i) for i in indices]

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Parts of these lengths, which add up to that of the data set, or of these shares, which add up to 1."""
    counts = list(plain(list(lengths)))
    if any(isinstance(n, float) for n in counts) and math.isclose(sum(counts), 1):
        counts = [math.floor(len(dataset) * share) for share in counts]
        for i in range(len(dataset) - sum(counts)):
            counts[i % len(counts)] += 1
    if sum(counts) != len(dataset):
        raise ValueError(f"random_split: lengths={lengths!r} must add up to the {len(dataset)} examples, or to 1")
    order = random(generator).permutation(len(dataset))
    return [Subset(dataset, part.tolist()) for part in np.split(order, np.cumsum(counts)[:-1])]


def default_collate(examples: list[Any]) -> Any:
    """A batch of examples: tensors and arrays are stacked, numbers become a tensor, in tuples and dictionaries too."""
    first = examples[0]
    if isinstance(first, Mapping):
        return {key: default_collate([example[key] for example in examples]) for key in first}
    if isinstance(first, tuple | list):
        return [default_collate(list(parts)) for parts in zip(*examples, strict=True)]
    if isinstance(first, str | bytes):
        return examples
    if isinstance(first, Tensor | np.ndarray):
        return Tensor(np.stack([np.asarray(example) for example in examples]))
    if isinstance(plain(first), int | float):
        return tensor(examples, dtype=np.float64 if isinstance(plain(first), float) else None)
    raise TypeError(f"default_collate: an example holds a {type(first).__name__}; give tensors, arrays, numbers, text, "
                    "or tuples, lists and dictionaries of them, or a collate_fn")


class Examples:
    """A data set of single examples as one of batches, for minidl's loader."""

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any]):
        self.dataset, self.collate = dataset, collate

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, indices: np.ndarray) -> Any:
        """The examples at the indices, collated."""
        return self.collate([self.dataset[int(i)] for i in indices])


class DataLoader:
    """Batches of a data set with `__getitem__`; a data set of minidl gives tensors of images and labels.

    num_workers  with 1 or more, a thread prepares batches ahead; more than one thread is never used
    collate_fn   makes a batch of a list of examples
    generator    decides the order, if shuffle=True; by default minidl's stream of random numbers does
    pin_memory, persistent_workers, prefetch_factor  are accepted and change nothing
    `loader` is minidl's loader, which does the work.
    """

    def __init__(self, dataset: Any, batch_size: int = 1, shuffle: bool = False, *, num_workers: int = 0,
                 collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False,
                 drop_last: bool = False, generator: Generator | None = None, persistent_workers: bool = False,
                 prefetch_factor: int | None = None, **others: Any):
        for name in others:
            raise TypeError(f"DataLoader: {name} is not supported; "
                            + UNSUPPORTED.get(name, "minidl.data.DataLoader has other settings"))
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TypeError(f"DataLoader: a {type(dataset).__name__} is no data set; it needs __len__ and __getitem__")
        self.dataset, self.batch_size, self.num_workers = dataset, batch_size, num_workers
        self.collate_fn, self.drop_last = collate_fn or default_collate, drop_last
        in_batches = hasattr(dataset, "batch") and collate_fn is None
        self.loader = ours.DataLoader(
            dataset if in_batches else Examples(dataset, self.collate_fn), batch_size, shuffle,
            seed=None if generator is None else generator.initial_seed(), drop_last=drop_last,
            prefetch=2 if whole("DataLoader", "num_workers", num_workers, 0) else 0)

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        return map(as_tensors, self.loader)


UNSUPPORTED = {
    "sampler": "use shuffle=True, a Subset, or minidl.data.DataLoader(balanced=True)",
    "batch_sampler": "use batch_size and shuffle",
    "worker_init_fn": "there are no worker processes; leave it out",
    "multiprocessing_context": "there are no worker processes; leave it out",
    "timeout": "there are no worker processes; leave it out",
}


def as_tensors(batch: Any) -> Any:
    """A batch of arrays as tensors."""
    if isinstance(batch, tuple | list):
        return [as_tensors(part) for part in batch]
    return Tensor(batch) if isinstance(batch, np.ndarray) else batch


if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.utils.data", name, missing.DATA)
