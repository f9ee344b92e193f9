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
from minidl.nn.stand_in import replaced
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

    def stands_for(self) -> BatchNorm:
        """The norm of one process with the same weights and statistics: what a file of the network names."""
        kind = next(kind for kind, synchronised in KINDS.items() if isinstance(self, synchronised))
        norm = kind(self.num_features)
        vars(norm).update({name: value for name, value in vars(self).items() if name != "communicator"})
        return norm


class SyncBatchNorm2d(SyncBatchNorm):
    """Batch normalization of images, those of all processes.   (N, C, H, W) -> (N, C, H, W)"""

    ndim = 4


class SyncBatchNorm1d(SyncBatchNorm):
    """Batch normalization of vectors, those of all processes.   (N, C) -> (N, C)"""

    ndim = 2


KINDS: dict[type[BatchNorm], type[SyncBatchNorm]] = {BatchNorm2d: SyncBatchNorm2d, BatchNorm1d: SyncBatchNorm1d}


def convert_sync_batch_norm(model: M, communicator: Group) -> M:
    """Replace each BatchNorm1d and BatchNorm2d in a model by the one over all processes; returns the model.

    The parameters stay the same objects, so an optimizer of the model goes on working.
    """
    def converted(module: Module) -> Module:
        if not isinstance(module, BatchNorm) or type(module) not in KINDS:
            return module
        norm = KINDS[type(module)](module.num_features, communicator)
        vars(norm).update(vars(module))
        return norm

    for _, module in list(model.named_modules()):
        vars(module).update({name: replaced(value, converted) for name, value in vars(module).items()})
    return converted(model)                              # type: ignore[return-value]


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
