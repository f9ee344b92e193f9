"""Batch normalization whose moments are those of the images of several processes, as if one had the whole batch.

Without it, each process normalizes by the moments of its own images, which are few. The processes exchange moments in
the forward pass, and sums of gradients in the backward pass: every process must call the layer.
"""

from typing import Any, Protocol, TypeVar

import numpy as np

from minidl.device import array_module
from minidl.functional.normalization import sync_batch_norm
from minidl.kernels import backend
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm, BatchNorm1d, BatchNorm2d
from minidl.tensor import Tensor, as_array

M = TypeVar("M", bound=Module)


class Group(Protocol):
    """What is needed of a communicator, such as those of `minidl.distributed`."""

    rank: int
    size: int

    def all_reduce(self, array: Any, /) -> None: ...


class SyncBatchNorm(BatchNorm):
    """BatchNorm over the processes of a communicator; settings as there. In eval mode there is no difference."""

    def __init__(self, num_features: int, communicator: Group, **settings: Any) -> None:
        super().__init__(num_features, **settings)
        self.communicator = communicator

    def forward(self, x: Tensor, add: Tensor | None = None, relu: bool = False, ceiling: float | None = None) -> Tensor:
        if not self.training and self.running_mean is not None:
            return super().forward(x, add, relu, ceiling)
        self.check_shape(x)
        mean, var, count = moments_of_all(as_array(x), self.communicator)
        weight, bias = ((like(mean, value) if v is None else v) for v, value in ((self.weight, 1), (self.bias, 0)))
        out = sync_batch_norm(x, weight, bias, add, mean=mean, var=var, count=count,
                              all_reduce=self.communicator.all_reduce, eps=self.eps, relu=relu, ceiling=ceiling)
        if self.running_mean is not None:
            self.track(mean, var, count)
        return out


class SyncBatchNorm2d(SyncBatchNorm):
    """Batch normalization of images, those of all processes.   (N, C, H, W) -> (N, C, H, W)"""

    ndim = 4


class SyncBatchNorm1d(SyncBatchNorm):
    """Batch normalization of vectors, those of all processes.   (N, C) -> (N, C)"""

    ndim = 2


KINDS = {BatchNorm2d: SyncBatchNorm2d, BatchNorm1d: SyncBatchNorm1d}


def convert_sync_batch_norm(model: M, communicator: Group) -> M:
    """Replace each BatchNorm1d and BatchNorm2d in a model by the one over all processes; returns the model.

    The parameters stay the same objects, so an optimizer of the model goes on working.
    """
    for _, module in list(model.named_modules()):
        for name, value in vars(module).items():
            vars(module)[name] = converted(value, communicator)
    return converted(model, communicator)                # type: ignore[no-any-return]


def converted(value: Any, communicator: Group) -> Any:
    """The norm for all processes in place of one, also in lists and dictionaries of modules; others as they are."""
    if isinstance(value, list | tuple):
        return type(value)(converted(each, communicator) for each in value)
    if isinstance(value, dict):
        return {key: converted(each, communicator) for key, each in value.items()}
    if type(value) not in KINDS:
        return value
    norm = KINDS[type(value)](value.num_features, communicator)
    vars(norm).update(vars(value))
    return norm


def moments_of_all(x: Any, group: Group) -> tuple[Any, Any, int]:
    """(mean, biased variance, elements per channel) of the images of all processes.

    With n, m and v of each process:  mean = sum(n * m) / sum(n),  var = sum(n * (v + (m - mean)**2)) / sum(n).
    """
    images = x[:, :, None, None] if x.ndim == 2 else x
    xp, c = array_module(x), x.shape[1]
    here = x.size // c
    table = xp.zeros((group.size, 2 * c + 1), dtype=np.float64)
    if here:
        mean, var = backend(x).channel_moments(images)
        table[group.rank, :c], table[group.rank, c:-1], table[group.rank, -1] = mean, var, here
    group.all_reduce(table)
    means, variances, counts = table[:, :c], table[:, c:-1], table[:, -1:]
    count = int(counts.sum())
    if count < 2:
        raise ValueError(f"SyncBatchNorm: {count} elements per channel in all {group.size} processes; training needs "
                         "at least two")
    mean = (counts * means).sum(0) / count
    var = (counts * (variances + (means - mean) ** 2)).sum(0) / count
    return mean.astype(x.dtype), var.astype(x.dtype), count


def like(v: Any, value: float) -> Any:
    """An array like v, filled with a value."""
    return array_module(v).full_like(v, value)
