"""What `fit` takes as data: a data set, a DataLoader of one, or a pair of arrays (images, labels)."""

from typing import Any

import numpy as np

from minidl.data import DataLoader, FeatureDataset, ImageDataset, SegmentationDataset
from minidl.data.segmentation import IGNORED
from minidl.scalars import plain

OF_LOADER = ("batch_size", "drop_last", "balanced", "prefetch", "seed")      # settings of `fit` that a loader has


def data_sets(given: dict[str, Any], settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """{name: data set, or None} for what was given under the names, the training set first; and the settings of `fit`.

    A training loader gives its settings, such as the batch size. A pair of arrays has the classes 0, 1, 2, ... up to
    the largest label for training. Raises TypeError or ValueError, in a sentence, for anything else.
    """
    loader = given["train_set"]
    if isinstance(loader, DataLoader):
        settings = {**settings, **of_loader(loader, settings)}
    sets: dict[str, Any] = {}
    for name, data in given.items():
        data = data.dataset if isinstance(data, DataLoader) else data
        if isinstance(data, tuple | list) and not hasattr(data, "batch"):
            classes = getattr(sets.get("train_set"), "classes", None)
            try:
                data = of_pair(data, classes)
            except (TypeError, ValueError) as error:
                raise type(error)(f"fit: {name}: {error}") from None
        sets[name] = data
    return sets, settings


def of_loader(loader: DataLoader, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a training loader. Raises ValueError for those that `fit` would not follow."""
    if not (loader.shuffle or loader.balanced):
        raise ValueError("fit: train_set is a DataLoader without shuffle=True, and fit trains in another order in each "
                         "epoch; give DataLoader(..., shuffle=True), or loader.dataset")
    if not loader.augment:
        raise ValueError("fit: train_set is a DataLoader with augment=False; give dataset.augmented(None) for training "
                         "without augmentation")
    found = {name: value for name in OF_LOADER if (value := getattr(loader, name)) is not None}
    for name in set(found) & set(settings):
        if plain(settings[name]) != found[name]:
            raise ValueError(f"fit: {name}={settings[name]!r}, but the loader has {name}={found[name]!r}; give one of "
                             "them")
    return found


def of_pair(pair: Any, classes: Any = None) -> ImageDataset:
    """The data set of a pair (images, labels), or of (images, masks).

    Images uint8 (N, C, H, W) are scaled to 0..1; inputs of floats (N, ...) are taken as they are. Labels are integers
    (N,); masks are integers (N, H, W).
    """
    if len(pair) != 2:
        raise ValueError(f"{len(pair)} arrays are no pair (images, labels)")
    inputs, labels = (np.asarray(x.numpy() if hasattr(x, "requires_grad") else x) for x in pair)
    if inputs.dtype.kind not in "fiu" or labels.dtype.kind not in "fiub":
        raise TypeError(f"a pair (images, labels) needs arrays of numbers, not {inputs.dtype} and {labels.dtype}")
    if inputs.shape[:1] != labels.shape[:1]:
        raise ValueError(f"{len(np.atleast_1d(inputs))} images {inputs.shape} and labels {labels.shape} do not belong "
                         "together; each image needs one")
    if labels.ndim == 2:
        remedy = "labels[:, 0] are" if labels.shape[1] == 1 else "labels.argmax(1) makes them of rows with a 1"
        raise ValueError(f"labels must be the numbers of classes (N,), not {labels.shape}; {remedy}")
    if labels.dtype.kind == "f":
        raise TypeError(f"labels must be whole numbers, not {labels.dtype}; convert with .astype(numpy.int64)")
    if inputs.ndim == 4 and inputs.shape[3] <= 4 < inputs.shape[1]:
        raise ValueError(f"images must have shape (N, C, H, W), and {inputs.shape} looks like (N, H, W, C); convert "
                         "with images.transpose(0, 3, 1, 2)")
    labels = labels.astype(np.int64)
    counted = labels if labels.ndim == 1 else labels[labels != IGNORED]
    names = classes or [str(i) for i in range(1 + int(counted.max(initial=1)))]
    if labels.ndim > 1:
        return SegmentationDataset(inputs, labels, names)
    if inputs.dtype == np.uint8:
        return ImageDataset(inputs, labels, names)
    if inputs.dtype.kind != "f":
        raise TypeError(f"images must be uint8, or floats that are normalized already, not {inputs.dtype}")
    return FeatureDataset(inputs, labels, names)
