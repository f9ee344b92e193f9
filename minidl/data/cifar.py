"""CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels in colour, ten classes.

The files lie where torchvision puts them: unpacked in `<root>/cifar-10-batches-py/`, or in `<root>` as the archive
`cifar-10-python.tar.gz`, which may also be packed otherwise (.tar.xz, .tar). Each is a pickle that Python 2 wrote; they
are read by a machine that calls nothing but the functions below (see `minidl/io/pickles.py`). A user's own files are
used as they are, if they have the same form; what is missing is downloaded.
"""

import lzma
import tarfile
import zlib
from pathlib import PurePosixPath

import numpy as np

from minidl.io.download import DownloadError, data_root, fetch
from minidl.io.pickles import PickleError, read_pickle

from .dataset import ImageDataset
from .idx import DataError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar"
PACKINGS = ("", ".gz", ".xz", ".bz2")
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.49140, 0.48216, 0.44653), (0.24703, 0.24349, 0.26159)         # of the training images
MAX_SIZE = 1 << 26                               # bytes of one batch; the real ones have 31 million


def cifar10(root=None, split="train", download=True):
    """Animals and vehicles.  Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

    From an archive it takes seconds longer than unpacked. Raises DownloadError, or FileNotFoundError without
    `download`, if the files cannot be had; DataError if damaged.
    """
    if split not in BATCHES:
        raise ValueError(f"split must be one of {', '.join(BATCHES)}, not {split!r}")
    root = data_root(root)
    contents = find(root, BATCHES[split])
    if contents is None:
        wanted = f"CIFAR-10 ({split}) needs {ARCHIVE}.gz, or {' and '.join(BATCHES[split])} in {FOLDER}, in {root}"
        if not download:
            raise FileNotFoundError(f"{wanted}; download=True fetches it.")
        try:
            fetch(f"{ARCHIVE}.gz", [URL], f"md5:{MD5}", root)
        except DownloadError as error:
            raise DownloadError(f"{error}\n{wanted}: put it there by hand.") from error
        contents = find(root, BATCHES[split])
    batches = [read_batch(place, content) for place, content in contents]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return ImageDataset(images, labels, CLASSES, f"CIFAR-10 {split}", MEAN, STD)


def find(root, names):
    """[(where it lies, its bytes)] for each file, from the folder or else from an archive; None if there is neither."""
    paths = [root / FOLDER / name for name in names]
    if all(path.is_file() for path in paths):
        for path in paths:
            check_size(path, path.stat().st_size)
        return [(path, path.read_bytes()) for path in paths]
    archive = next((path for packing in PACKINGS if (path := root / f"{ARCHIVE}{packing}").is_file()), None)
    return archive and unpacked(archive, names)


def unpacked(archive, names):
    """The same from an archive."""
    found = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name in names and member.isfile():
                    check_size(archive, member.size)
                    found[name] = tar.extractfile(member).read()
                if len(found) == len(names):
                    return [(f"{archive}: {name}", found[name]) for name in names]
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{archive}: a damaged archive ({error}). Delete the file and get it anew.") from error
    missing = " and ".join(name for name in names if name not in found)
    raise DataError(f"{archive}: does not hold {missing}. Delete the file and get it anew.")


def check_size(path, size):
    """Refuse a file that is larger than a batch can be."""
    if size > MAX_SIZE:
        raise DataError(f"{path}: {size} bytes are more than a batch of CIFAR-10 can have")


def read_batch(place, content):
    """One pickle.   ->  uint8 (N, 3, 32, 32), int64 (N,)"""
    try:
        batch = read_pickle(content, NAMES)
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        images, labels = batch["data"].pixels, np.array(batch["labels"])
    except (PickleError, KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{place}: not a batch of CIFAR-10 ({error}). Delete the file and get it anew.") from error
    if images.ndim != 2 or images.shape[1] != 3 * 32 * 32 or labels.shape != images.shape[:1]:
        raise DataError(f"{place}: holds images {images.shape} and labels {labels.shape}, not (N, 3072) and (N,)")
    if len(labels) == 0 or labels.dtype.kind != "i" or not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise DataError(f"{place}: its labels are not whole numbers from 0 to {len(CLASSES) - 1}")
    return images.reshape(-1, 3, 32, 32), labels                     # each image is a red, a green and a blue plane


class Pixels:
    """What stands for a NumPy array of bytes in a pickle: made empty, and then given its state."""

    def build(self, state):
        _, shape, kind, column_major, content = state
        self.pixels = pixels(content, kind, shape, "F" if column_major else "C").pixels


class Kind:
    """What stands for a NumPy dtype; its state tells the order of bytes, which single bytes have none of."""

    def __init__(self, name, *_):
        self.name = name

    def build(self, state):
        pass


def pixels(content, kind, shape, order="C", *_):
    """Pixels with their state, as newer pickles make them."""
    if kind.name not in ("u1", "|u1"):
        raise PickleError(f"its numbers are {kind.name!r}, not bytes")
    content = content.encode("latin-1") if isinstance(content, str) else content       # Python 2's strings were bytes
    array = Pixels()
    array.pixels = np.frombuffer(content, np.uint8).reshape(shape, order=order)
    return array


NAMES = {
    "numpy ndarray": "ndarray",
    "numpy dtype": Kind,
    "_codecs encode": lambda text, _: text.encode("latin-1"),
}
for core in ("numpy.core", "numpy._core"):
    NAMES[f"{core}.multiarray _reconstruct"] = lambda *_: Pixels()
    NAMES[f"{core}.numeric _frombuffer"] = pixels
