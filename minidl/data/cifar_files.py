"""The two formats of CIFAR's files: pickles written by Python 2, and records of bytes.

A pickle is read without calling any function but those below (see `minidl/io/pickles.py`). It holds `data`, bytes
(N, 3072), and a list of labels under each key. A record is a byte for each label, then 3,072 bytes of pixels. An image
is a red, a green and a blue plane.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.io.pickles import PickleError, read_pickle

from .idx import DataError

SIDE = 32
PIXELS = 3 * SIDE * SIDE


def read_pickled(place: Any, content: bytes, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The images, uint8 (N, 3072), and the labels under these keys, int64 (N, K)."""
    try:
        batch = read_pickle(content, NAMES)
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        missing = [name for name in ("data", *keys) if name not in batch]
        if missing:
            raise PickleError(f"it has no entry {' and '.join(map(repr, missing))}{mistaken(batch, keys)}")
        images, labels = batch["data"].pixels, [np.array(batch[key]) for key in keys]
    except (PickleError, AttributeError, ValueError) as error:
        raise DataError(f"{place}: not a batch of CIFAR ({error}). Delete it and download it again.") from error
    shapes = ", ".join(str(each.shape) for each in labels)
    if images.ndim != 2 or images.shape[1] != PIXELS or any(each.shape != images.shape[:1] for each in labels):
        raise DataError(f"{place}: holds images {images.shape} and labels {shapes}, not (N, {PIXELS}) and (N,)")
    if len(images) == 0 or any(each.dtype.kind != "i" for each in labels):
        raise DataError(f"{place}: its labels are not whole numbers, one for each image. Replace the file.")
    return images, np.stack(labels, axis=1)


def mistaken(batch: dict[str, Any], keys: Sequence[str]) -> str:
    """A hint, if the file belongs to the other data set."""
    other = "CIFAR-100" if "fine_labels" in batch else "CIFAR-10" if "labels" in batch else ""
    return f"; this is {other}" if other else ""


def read_records(place: Any, content: bytes, keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The same from records of len(keys) + 3072 bytes."""
    length = len(keys) + PIXELS
    if len(content) == 0 or len(content) % length:
        raise DataError(f"{place}: {len(content):,} bytes are no whole number of records of {length} bytes. Delete it "
                        "and download it again.")
    records = np.frombuffer(content, np.uint8).reshape(-1, length)
    return records[:, len(keys):], records[:, :len(keys)].astype(np.int64)


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
