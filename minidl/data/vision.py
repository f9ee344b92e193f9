"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images of 28x28 grey pixels each, ten classes.

The files are where torchvision puts them, so both libraries can share them: `<root>/MNIST/raw/train-images-idx3-ubyte`,
with or without `.gz`. Each may also be called train-images.idx3-ubyte, and be in a folder of its own name, as in
Kaggle's archive. Existing files are used as they are, if images and labels match; missing ones are downloaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl.io.download import DownloadError, data_root, fetch

from .dataset import ImageDataset
from .idx import DataError, read_idx
from .root import check_root

SPLITS = {"train": "train", "test": "t10k"}  # "10k": the first 10,000 images of a larger test set


class Source(NamedTuple):
    """A published data set: its mirrors, the checksums of its files, its classes, and its pixel statistics."""

    name: str
    folder: str
    mirrors: tuple[str, ...]
    md5: dict[str, str]  # of the gzipped files
    classes: tuple[str, ...]
    mean: float
    std: float


MNIST = Source(
    name="MNIST",
    folder="MNIST",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5={
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    classes=tuple("0123456789"),
    mean=0.1307,
    std=0.3081,
)

FASHION = Source(
    name="Fashion-MNIST",
    folder="FashionMNIST",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    md5={
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    mean=0.2860,
    std=0.3530,
)


def mnist(root: str | Path | None = None, split: str = "train", download: bool = True) -> ImageDataset:
    """Handwritten digits.  LeCun, Cortes, Burges, "The MNIST database".

    Raises DownloadError, or FileNotFoundError without `download`, if files are missing; DataError if they are damaged.
    """
    return _load(MNIST, root, split, download)


def fashion_mnist(root: str | Path | None = None, split: str = "train", download: bool = True) -> ImageDataset:
    """Clothing.  Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017.   Raises as `mnist` does."""
    return _load(FASHION, root, split, download)


def _load(source: Source, root: str | Path | None, split: str, download: bool) -> ImageDataset:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    folder = data_root(root) / source.folder / "raw"
    names = [f"{SPLITS[split]}-images-idx3-ubyte", f"{SPLITS[split]}-labels-idx1-ubyte"]
    check_root(root, needs(source, split, names, folder))
    missing = [name for name in names if _present(folder, name) is None]
    if missing:
        needed = needs(source, split, missing, folder) + found_elsewhere(missing, folder)
        if not download:
            raise FileNotFoundError(f"{needed}, with or without .gz; download=True fetches them.")
        _download(source, missing, folder, needed)
    images_path, labels_path = (_present(folder, name) or folder / name for name in names)
    images, labels = read_idx(images_path, ndim=3), read_idx(labels_path, ndim=1)
    _check(images, images_path, labels, labels_path, len(source.classes))
    return ImageDataset(
        images[:, None], labels, source.classes, f"{source.name} {split}", (source.mean,), (source.std,)
    )


def needs(source: Source, split: str, names: Sequence[str], folder: Path) -> str:
    """Which files belong where, in words."""
    return f"{source.name} ({split}) needs {' and '.join(f'{name}.gz' for name in names)} in {folder}"


def _present(folder: Path, name: str) -> Path | None:
    """The path of a file, preferably uncompressed, which is faster to read; None if there is none."""
    names = (name, name.replace("-idx", ".idx"))
    places = [folder / each for each in names] + [folder / f"{each}.gz" for each in names]
    places += [folder / each / each for each in names]                     # Kaggle's archive has such folders
    return next((path for path in places if path.is_file()), None)


def found_elsewhere(names: Sequence[str], folder: Path) -> str:
    """A hint, if files of these names are in a folder above the one they belong in; else nothing."""
    above = [place for place in folder.parents[:2] for name in names if _present(place, name)]
    return f" (such files are in {above[0]}: move them)" if above else ""


def _download(source: Source, names: Sequence[str], folder: Path, needed: str) -> None:
    """Download the gzipped files; the first failure is final, so that a machine without network fails quickly."""
    try:
        for name in names:
            fetch(f"{name}.gz", [f"{mirror}{name}.gz" for mirror in source.mirrors], f"md5:{source.md5[name]}", folder)
    except DownloadError as error:
        raise DownloadError(
            f"{error}\n{needed}: put them there by hand, or train on the built-in data set 'digits' instead."
        ) from error


def _check(images: np.ndarray, images_path: Path, labels: np.ndarray, labels_path: Path, classes: int) -> None:
    """Refuse files that do not match."""
    if len(images) == 0 or images.shape[1:] != (28, 28):
        raise DataError(f"{images_path}: holds images of shape {images.shape} instead of (N, 28, 28). Replace it.")
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}. "
            "Replace both by a matching pair."
        )
    if labels.max() >= classes:
        raise DataError(f"{labels_path}: holds the label {labels.max()}; there are classes 0 to {classes - 1} only.")
