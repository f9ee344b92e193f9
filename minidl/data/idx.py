"""The IDX format, in which MNIST and its relatives are published.

A file is a header and then raw numbers: two zero bytes, a code for the type of number, the count of dimensions, one
big-endian 32-bit size per dimension, and the elements in C order.  The files may come gzipped.  A header can claim
anything, so nothing is believed before it has been held against the file: a damaged or forged file raises DataError,
and never costs more memory than the array it declares.
"""

import contextlib
import gzip
import math
import os
import zlib

import numpy as np

UINT8 = 0x08
MAX_DIMENSIONS = 4
MAX_SIZE = 1 << 30  # bytes; twenty times the largest file of MNIST
MAX_INFLATION = 1032  # deflate cannot shrink data further than this
CHUNK = 1 << 20


class DataError(ValueError):
    """A data file does not hold what it should; the message names the file and what to do."""


def read_idx(path, ndim=None):
    """The array in an IDX file of bytes, gzipped or not, uint8 with as many dimensions as the file says.

    Raises DataError if the file is damaged, or has other than `ndim` dimensions; OSError if it cannot be opened.
    """
    try:
        with _opened(path) as (stream, most):
            return _read(stream, most, ndim)
    except DataError as error:
        problem = error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"damaged gzip data ({error})"
    raise DataError(f"{path}: {problem}. Delete the file and get it anew.") from None


@contextlib.contextmanager
def _opened(path):
    """A stream of the file's bytes, unpacked, and how many they can be at most.

    The first bytes tell whether to unpack, since a browser may have done so and kept the name.
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


def _read(stream, most, ndim):
    """The array in `stream`, which holds `most` bytes or fewer."""
    shape = _read_shape(stream, ndim)
    size = math.prod(shape)
    # NumPy refuses huge sizes even where another is zero and the array would be empty
    if size > most or math.prod(n or 1 for n in shape) > MAX_SIZE:
        raise DataError(f"its header declares the shape {shape}, more than the file can hold")
    array = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        # in chunks, because gzip would unpack what is asked for into a buffer of its own
        got = stream.readinto(array[filled : filled + CHUNK])
        if not got:
            raise DataError(f"cut short: {size} bytes declared for shape {shape}, {filled} found")
        filled += got
    if stream.read(1):  # for gzip, also what makes it compare its checksum
        raise DataError(f"too long: more than the {size} bytes declared for shape {shape}")
    return array.reshape(shape)


def _read_shape(stream, ndim):
    """The sizes in the header."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"not an IDX file: it starts with the bytes {magic.hex(' ') or 'of nothing'}")
    if magic[2] != UINT8:
        raise DataError(f"its numbers are of type code 0x{magic[2]:02x}; only 0x08, unsigned bytes, is read")
    dimensions = magic[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS or ndim not in (None, dimensions):
        raise DataError(f"it has {dimensions} dimensions instead of {ndim or f'1 to {MAX_DIMENSIONS}'}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"cut short within its header of {4 + 4 * dimensions} bytes")
    return tuple(np.frombuffer(sizes, ">u4").tolist())
