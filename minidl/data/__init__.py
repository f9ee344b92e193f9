"""Data sets and batches.   load("mnist", "train") -> ImageDataset;  DataLoader(dataset, 128, shuffle=True)

Nothing here depends on tensors: a data set is bytes in memory, a batch is two NumPy arrays. Read `dataset.py` first,
then `protocol.py` and `loader.py`. `vision.py`, `cifar.py` and `idx.py` find, download and read the files of published
sets, `image_folder.py` and `image_masks.py` those of a user, and `survey.py` says what is in them.
"""

from pathlib import Path

from minidl.io.download import DownloadError, data_root

from .cifar import cifar10, cifar100
from .dataset import ImageDataset, Subset
from .digits import digits, drawn_digits
from .features import FeatureDataset
from .idx import DataError, read_idx
from .image_folder import ImageFolder, image_folder, image_splits
from .image_masks import ImageMasks, image_masks, mask_splits
from .loader import DataLoader
from .parts import Splits
from .protocol import random_generator
from .root import check_root
from .segmentation import SegmentationDataset
from .tiles import tiles
from .unpack import folder_or_archive
from .vision import fashion_mnist, mnist

__all__ = [
    "NAMES",
    "DataError",
    "DataLoader",
    "DownloadError",
    "FeatureDataset",
    "ImageDataset",
    "ImageFolder",
    "ImageMasks",
    "SegmentationDataset",
    "Splits",
    "Subset",
    "cifar10",
    "cifar100",
    "data_root",
    "digits",
    "drawn_digits",
    "fashion_mnist",
    "folder_or_archive",
    "image_folder",
    "image_masks",
    "image_splits",
    "load",
    "mask_splits",
    "mnist",
    "random_generator",
    "read_idx",
    "tiles",
]

NAMES = ("mnist", "fashion", "cifar10", "cifar100", "digits")


def load(name: str, split: str = "train", root: str | Path | None = None, download: bool = True) -> ImageDataset:
    """The data set called `name`, one of NAMES; `split` is "train" or "test".

    `root` is the folder of data sets, which must exist; by default $MINIDL_DATA, else the user's cache.
    """
    if name == "mnist":
        return mnist(root, split, download)
    if name == "fashion":
        return fashion_mnist(root, split, download)
    if name == "cifar10":
        return cifar10(root, split, download)
    if name == "cifar100":
        return cifar100(root, split, download)
    if name == "digits":
        if root is not None:
            check_root(root, "the digits are drawn, and need no files")
        return digits(split)
    raise ValueError(f"unknown data set {name!r}; there are {', '.join(NAMES)}")
