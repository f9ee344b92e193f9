"""CIFAR-10 and CIFAR-100: 50,000 training and 10,000 test images of 32x32 colour pixels, in 10 or 100 classes.

The files are where torchvision puts them: unpacked in `<root>/cifar-10-batches-py/`, or in `<root>` as the archive
`cifar-10-python.tar.gz`, which may be packed differently (.tar.xz, .tar.bz2) or not at all (.tar). So are those of
CIFAR-100, and the binary versions of both (`cifar_files.py`). Existing files are used as they are, if they have the
same format; missing ones are downloaded.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.io.download import DownloadError, data_root, fetch

from .archive import contents, find_archive
from .cifar_files import SIDE, read_pickled, read_records
from .cifar_names import CLASSES_10, CLASSES_100, SUPERCLASSES
from .dataset import ImageDataset
from .idx import DataError
from .root import check_root

MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
Reader = Callable[[Any, bytes, Sequence[str]], tuple[np.ndarray, np.ndarray]]


class Version(NamedTuple):
    """A way in which a data set is published: its folder, its archive without the ending, and the names of its files.

    `read(place, content, keys)` gives the images of a file and their labels, a column for each key.
    """

    folder: str
    archive: str
    md5: str                                     # of the .tar.gz
    files: dict[str, list[str]]
    read: Reader


class Source(NamedTuple):
    """A published data set. The first version is the one that is downloaded.

    `classes` are the names of the classes by the key of the labels, in the order of the bytes of a record.
    """

    name: str
    versions: tuple[Version, ...]
    classes: dict[str, tuple[str, ...]]
    largest: int                                 # bytes that a file can have; those of the real ones, and some more
    mean: tuple[float, ...]                      # of the training images
    std: tuple[float, ...]


BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
CIFAR10 = Source(
    "CIFAR-10",
    (Version("cifar-10-batches-py", "cifar-10-python", "c58f30108f718f92721af3b95e74349a",
             {"train": BATCHES, "test": ["test_batch"]}, read_pickled),
     Version("cifar-10-batches-bin", "cifar-10-binary", "c32a1d4ab5d03f1284b67883e8d87530",
             {"train": [f"{name}.bin" for name in BATCHES], "test": ["test_batch.bin"]}, read_records)),
    {"labels": CLASSES_10}, 1 << 26, (0.49140, 0.48216, 0.44653), (0.24703, 0.24349, 0.26159),
)
CIFAR100 = Source(
    "CIFAR-100",
    (Version("cifar-100-python", "cifar-100-python", "eb9058c3a382ffc7106e4002c42a8d85",
             {"train": ["train"], "test": ["test"]}, read_pickled),
     Version("cifar-100-binary", "cifar-100-binary", "03b5dce01913d631647c71ecec9e9cb8",
             {"train": ["train.bin"], "test": ["test.bin"]}, read_records)),
    {"coarse_labels": SUPERCLASSES, "fine_labels": CLASSES_100}, 1 << 28,
    (0.50708, 0.48655, 0.44092), (0.26733, 0.25644, 0.27615),
)


def cifar10(root: str | Path | None = None, split: str = "train", download: bool = True) -> ImageDataset:
    """Animals and vehicles.  Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Reading an archive takes some seconds longer than reading unpacked files. Raises DownloadError, or FileNotFoundError
    without `download`, if files are missing; DataError if they are damaged.
    """
    return _load(CIFAR10, root, split, download, "labels")


def cifar100(root: str | Path | None = None, split: str = "train", download: bool = True,
             coarse: bool = False) -> ImageDataset:
    """A hundred kinds of things, 500 training images of each; with `coarse`, in 20 superclasses.

    From the same report as CIFAR-10.   Raises as `cifar10` does.
    """
    return _load(CIFAR100, root, split, download, "coarse_labels" if coarse else "fine_labels")


def _load(source: Source, root: str | Path | None, split: str, download: bool, labels: str) -> ImageDataset:
    first = source.versions[0]
    if split not in first.files:
        raise ValueError(f"split must be one of {', '.join(first.files)}, not {split!r}")
    folder = data_root(root)
    needed = (f"{source.name} ({split}) needs {first.archive}.tar.gz, or {' and '.join(first.files[split])} in "
              f"{first.folder}, in {folder}")
    check_root(root, needed)
    found = find(source, folder, split)
    if found is None:
        if not download:
            raise FileNotFoundError(f"{needed}; download=True fetches it.")
        try:
            name = f"{first.archive}.tar.gz"
            fetch(name, [f"{mirror}{name}" for mirror in MIRRORS], f"md5:{first.md5}", folder)
        except DownloadError as error:
            raise DownloadError(f"{error}\n{needed}: put it there by hand.") from error
        found = find(source, folder, split)
    assert found is not None
    version, files = found
    keys = list(source.classes)
    parts = []
    for place, content in files:
        parts.append(version.read(place, content, keys))
        check_labels(place, parts[-1][1], source)
    images, columns = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kind = ", superclasses" * (labels == "coarse_labels")
    return ImageDataset(images.reshape(-1, 3, SIDE, SIDE), columns[:, keys.index(labels)], source.classes[labels],
                        f"{source.name} {split}{kind}", source.mean, source.std)


def check_labels(place: Any, columns: np.ndarray, source: Source) -> None:
    """Refuse labels (N, K) that are no classes."""
    for column, names in zip(columns.T, source.classes.values(), strict=True):
        if not 0 <= column.min() <= column.max() < len(names):
            raise DataError(f"{place}: its labels must be whole numbers from 0 to {len(names) - 1}, but go from "
                            f"{column.min()} to {column.max()}. Delete it and download it again.")


def find(source: Source, root: Path, split: str) -> tuple[Version, list[tuple[Any, bytes]]] | None:
    """(the version, [(location, content)] of each file) of what is there: a folder before an archive; or None."""
    for version in source.versions:
        paths = [root / version.folder / name for name in version.files[split]]
        if all(path.is_file() for path in paths):
            for path in paths:
                if path.stat().st_size > source.largest:
                    raise DataError(f"{path}: {path.stat().st_size:,} bytes are more than this file can have")
            return version, [(path, path.read_bytes()) for path in paths]
    for version in source.versions:
        if archive := find_archive(root, version.archive):
            files = contents(archive, version.files[split], source.largest)
            return version, [(f"{archive}: {name}", files[name]) for name in version.files[split]]
    return None
