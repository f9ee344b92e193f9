"""The IDX format of MNIST and similar data sets.

A file is a header followed by raw elements: two zero bytes, a code for the element type, the number of dimensions, one
big-endian 32-bit size per dimension, and the elements in C order. It may be gzipped. Nothing in the header is trusted
before it is checked against the file: a damaged or forged file raises DataError, and never takes more memory than the
array that it declares.
"""

import contextlib
import gzip
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl.io.foreign import in_its_place

UINT8 = 0x08
MAX_DIMENSIONS = 4
MAX_SIZE = 1 << 30  # bytes; twenty times the largest file of MNIST
MAX_INFLATION = 1032  # the largest compression ratio of deflate
CHUNK = 1 << 20


class DataError(ValueError):
    """A data file has the wrong content; the message names the file and says what to do."""


def read_idx(path: str | Path, ndim: int | None = None) -> np.ndarray:
    """The uint8 array in an IDX file of bytes, gzipped or not.

    Raises DataError if the file is damaged or does not have `ndim` dimensions; OSError if it cannot be opened.
    """
    try:
        with _opened(path) as (stream, most):
            return _read(stream, most, ndim)
    except DataError as error:
        problem = str(error)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"damaged gzip data ({error})"
    except IsADirectoryError:
        raise DataError(f"{path}: this is a folder, not a file. Put the file there in its place.") from None
    raise DataError(f"{path}: {problem}. Delete it and download it again.") from None


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, int]]:
    """A stream of the file's uncompressed bytes, and their largest possible number.

    The first bytes decide whether the file is gzipped: a browser may have unpacked it without renaming it.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file, size
            return
        with gzip.open(file) as unpacked:
            yield unpacked, size * MAX_INFLATION


def _read(stream: Any, most: int, ndim: int | None) -> np.ndarray:
    """The array in `stream`, which has at most `most` bytes."""
    shape = _read_shape(stream, ndim)
    size = math.prod(shape)
    # NumPy refuses huge sizes even if another size is zero and the array would be empty
    if size > most or math.prod(n or 1 for n in shape) > MAX_SIZE:
        raise DataError(f"its header declares the shape {shape}, more than the file can hold")
    array = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        # in chunks, because gzip allocates a buffer of the requested size
        got = stream.readinto(array[filled : filled + CHUNK])
        if not got:
            raise DataError(f"truncated: {size} bytes declared for shape {shape}, {filled} found")
        filled += got
    if stream.read(1):  # this also makes gzip verify its checksum
        raise DataError(f"too long: more than the {size} bytes declared for shape {shape}")
    return array.reshape(shape)


def _read_shape(stream: Any, ndim: int | None) -> tuple[int, ...]:
    """The sizes in the header."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        text = in_its_place(magic + stream.read(252))
        start = text or (f"starts with the bytes {magic.hex(' ')}" if magic else "is empty")
        raise DataError(f"not an IDX file: it {start}")
    if magic[2] != UINT8:
        raise DataError(f"its elements have type code 0x{magic[2]:02x}; only 0x08, unsigned bytes, is supported")
    dimensions = magic[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS or ndim not in (None, dimensions):
        raise DataError(f"it has {dimensions} dimensions instead of {ndim or f'1 to {MAX_DIMENSIONS}'}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"truncated within its header of {4 + 4 * dimensions} bytes")
    return tuple(np.frombuffer(sizes, ">u4").tolist())
