"""Data sets that live on a GPU: their images are copied there once, and batches are made there.

A batch has the same bits as one that was made on the CPU: the random numbers of augmentation are drawn there, a few for
each image, and only the pixels are changed on the GPU.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data.dataset import ImageDataset, Subset
from minidl.data.protocol import Batch, parameters_of
from minidl.device import CPU, Device, array_module

SHARE = 1 / 4                                    # of the free memory of a GPU, which images may take unasked


class Resident:
    """The images and labels of a data set on a GPU. Raises ValueError for a set whose batches are made elsewhere."""

    def __init__(self, dataset: Any, device: Device) -> None:
        if reason := obstacle(dataset):
            raise ValueError(f"the images of {dataset!r} cannot be kept on {device}: {reason}")
        whole, self.indices = whole_of(dataset)
        self.dataset, self.device = dataset, device
        self.images, self.labels = device.put(dataset.images), device.put(dataset.labels)
        self.made_by = copy.copy(whole)
        self.made_by._scale, self.made_by._shift = device.put(whole._scale), device.put(whole._shift)

    def __len__(self) -> int:
        return len(self.indices)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":       # while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def batch_parameters(self) -> frozenset[str]:
        """Those of the set."""
        return parameters_of(self.dataset)

    def batch(self, indices: Sequence[int] | np.ndarray, epoch: int | None = None, seed: int = 0,
              visits: np.ndarray | None = None) -> Batch:
        """As that of the set, with arrays on the GPU."""
        indices = np.asarray(indices)
        with self.device.current():
            places = array_module(self.images).asarray(indices)
            return self.made_by._finished(self.images[places], self.labels[places], self.indices[indices], epoch, seed,
                                          visits)


def whole_of(dataset: Any) -> tuple[ImageDataset, np.ndarray]:
    """(the set that makes the batches of a data set, or of a part of one; which of its images these are)"""
    indices = np.arange(len(dataset))
    while isinstance(dataset, Subset):
        indices, dataset = dataset.indices[indices], dataset.dataset
    return dataset, indices


def obstacle(dataset: Any) -> str:
    """Why the batches of a data set cannot be made on a GPU; empty if they can."""
    whole, _ = whole_of(dataset)
    if not isinstance(whole, ImageDataset) or type(whole).batch is not ImageDataset.batch:
        return f"a {type(whole).__name__} makes its batches in its own way"
    if not isinstance(whole.images, np.ndarray):
        return "they are read from their files whenever they are needed"
    if whole.transform is not None and not whole.transform.on_device:
        return f"{' '.join(repr(whole.transform).split())} works on the CPU"
    return ""


def kept_on(dataset: Any, device: Device, wanted: bool | None) -> Any:
    """The set with its images on the device, if `wanted`; None: if nothing is `against` it. Else the set itself.

    Raises ValueError if it is wanted and cannot be.
    """
    if device == CPU or wanted is False or (wanted is None and against(dataset, device)):
        return dataset
    return Resident(dataset, device)


def against(dataset: Any, device: Device) -> str:
    """Why the images of a set are better not kept on a GPU; empty if they can be, and fit."""
    if reason := obstacle(dataset):
        return reason
    free, needed = free_memory(device), bytes_of(dataset)
    return f"they take {needed:,} bytes, more than a quarter of the {free:,} free ones" if needed > SHARE * free else ""


def is_resident(dataset: Any) -> bool:
    """Whether the batches of a set, or of the one that it wraps, are made on a GPU."""
    return isinstance(dataset, Resident) or isinstance(getattr(dataset, "dataset", None), Resident)


def bytes_of(dataset: Any) -> int:
    """The memory that images and labels of a data set take."""
    whole, indices = whole_of(dataset)
    return len(indices) * (whole.images[:1].nbytes + whole.labels[:1].nbytes)


def free_memory(device: Device) -> int:
    """The free bytes of a GPU."""
    with device.current() as current:
        return int(current.mem_info[0])
