"""CIFAR-10: 50,000 training and 10,000 test images of 32x32 colour pixels, ten classes.

The files are where torchvision puts them: unpacked in `<root>/cifar-10-batches-py/`, or in `<root>` as the archive
`cifar-10-python.tar.gz`, which may be compressed differently (.tar.xz, .tar.bz2) or not at all (.tar). Each file is a
pickle written by Python 2, and is read without calling any function but those below (see `minidl/io/pickles.py`).
Existing files are used as they are, if they have the same format; missing ones are downloaded.
"""

import lzma
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from minidl.io.download import DownloadError, data_root, fetch
from minidl.io.foreign import in_its_place
from minidl.io.pickles import PickleError, read_pickle

from .dataset import ImageDataset
from .idx import DataError
from .root import check_root

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar"
PACKINGS = ("", ".gz", ".xz", ".bz2")
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.49140, 0.48216, 0.44653), (0.24703, 0.24349, 0.26159)         # of the training images
MAX_SIZE = 1 << 26                               # bytes of one batch file; the real ones have 31 million


def cifar10(root: str | Path | None = None, split: str = "train", download: bool = True) -> ImageDataset:
    """Animals and vehicles.  Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    Reading an archive takes some seconds longer than reading unpacked files. Raises DownloadError, or FileNotFoundError
    without `download`, if files are missing; DataError if they are damaged.
    """
    if split not in BATCHES:
        raise ValueError(f"split must be one of {', '.join(BATCHES)}, not {split!r}")
    folder = data_root(root)
    needed = f"CIFAR-10 ({split}) needs {ARCHIVE}.gz, or {' and '.join(BATCHES[split])} in {FOLDER}, in {folder}"
    check_root(root, needed)
    contents = find(folder, BATCHES[split])
    if contents is None:
        if not download:
            raise FileNotFoundError(f"{needed}; download=True fetches it.")
        try:
            contents = unpacked(fetch(f"{ARCHIVE}.gz", [URL], f"md5:{MD5}", folder), BATCHES[split])
        except DownloadError as error:
            raise DownloadError(f"{error}\n{needed}: put it there by hand.") from error
    batches = [read_batch(place, content) for place, content in contents]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return ImageDataset(images, labels, CLASSES, f"CIFAR-10 {split}", MEAN, STD)


def find(root: Path, names: Sequence[str]) -> list[tuple[Any, bytes]] | None:
    """[(location, content)] of each file, from the folder or else from an archive; None if there is neither."""
    paths = [root / FOLDER / name for name in names]
    if all(path.is_file() for path in paths):
        for path in paths:
            check_size(path, path.stat().st_size)
        return [(path, path.read_bytes()) for path in paths]
    archive = next((path for packing in PACKINGS if (path := root / f"{ARCHIVE}{packing}").is_file()), None)
    return unpacked(archive, names) if archive else None


def unpacked(archive: Path, names: Sequence[str]) -> list[tuple[Any, bytes]]:
    """The same from an archive."""
    found: dict[str, bytes] = {}
    if archive.is_dir():
        raise DataError(f"{archive}: this is a folder, not a file. Put the file there in its place.")
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name in names and member.isfile() and (file := tar.extractfile(member)):
                    check_size(archive, member.size)
                    found[name] = file.read()
                if len(found) == len(names):
                    return [(f"{archive}: {name}", found[name]) for name in names]
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{archive}: {damage(archive, error)}. Delete it and download it again.") from error
    missing = " and ".join(name for name in names if name not in found)
    raise DataError(f"{archive}: does not hold {missing}. Delete it and download it again.")


def damage(archive: Path, error: Exception) -> str:
    """Why an archive cannot be read."""
    with archive.open("rb") as file:
        text = in_its_place(file.read(256))
    return f"not an archive; it {text}" if text else f"a damaged archive ({str(error).partition(chr(10))[0]})"


def check_size(path: Path, size: int) -> None:
    """Refuse a file that is larger than a batch can be."""
    if size > MAX_SIZE:
        raise DataError(f"{path}: {size} bytes are more than a batch of CIFAR-10 can have")


def read_batch(place: Any, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """One pickle.   ->  uint8 (N, 3, 32, 32), int64 (N,)"""
    try:
        batch = read_pickle(content, NAMES)
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        missing = [name for name in ("data", "labels") if name not in batch]
        if missing:
            other = "; this is CIFAR-100, which is not supported" if "fine_labels" in batch else ""
            raise PickleError(f"it has no entry {' and '.join(map(repr, missing))}{other}")
        images, labels = batch["data"].pixels, np.array(batch["labels"])
    except (PickleError, AttributeError, ValueError) as error:
        raise DataError(f"{place}: not a batch of CIFAR-10 ({error}). Delete it and download it again.") from error
    if images.ndim != 2 or images.shape[1] != 3 * 32 * 32 or labels.shape != images.shape[:1]:
        raise DataError(f"{place}: holds images {images.shape} and labels {labels.shape}, not (N, 3072) and (N,)")
    if len(labels) == 0 or labels.dtype.kind != "i" or not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise DataError(f"{place}: its labels are not whole numbers from 0 to {len(CLASSES) - 1}")
    return images.reshape(-1, 3, 32, 32), labels                     # an image is a red, a green and a blue plane


class Pixels:
    """Replaces a NumPy array of bytes in a pickle: created empty, then given its state."""

    pixels: np.ndarray

    def build(self, state: tuple) -> None:
        _, shape, kind, column_major, content = state
        self.pixels = pixels(content, kind, shape, "F" if column_major else "C").pixels


class Kind:
    """Replaces a NumPy dtype in a pickle; its state is the byte order, which does not matter for single bytes."""

    def __init__(self, name: str, *_: Any) -> None:
        self.name = name

    def build(self, state: tuple) -> None:
        pass


def pixels(content: bytes | str, kind: Kind, shape: tuple[int, ...], order: Any = "C", *_: Any) -> Pixels:
    """Pixels created with their state, as newer pickles do."""
    if kind.name not in ("u1", "|u1"):
        raise PickleError(f"its pixels are numbers of the type {kind.name!r}, not bytes")
    content = content.encode("latin-1") if isinstance(content, str) else content       # Python 2's strings are bytes
    array = Pixels()
    array.pixels = np.frombuffer(content, np.uint8).reshape(shape, order=order)
    return array


NAMES: dict[str, Any] = {
    "numpy ndarray": "ndarray",
    "numpy dtype": Kind,
    "_codecs encode": lambda text, _: text.encode("latin-1"),
}
for core in ("numpy.core", "numpy._core"):
    NAMES[f"{core}.multiarray _reconstruct"] = lambda *_: Pixels()
    NAMES[f"{core}.numeric _frombuffer"] = pixels
