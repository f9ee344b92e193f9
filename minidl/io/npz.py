"""NumPy's .npz archives, without pickles, and with every declared size checked against the file before allocation.

An .npz is a zip archive of .npy files, each a header with dtype and shape, followed by raw elements. `numpy.load`
trusts the sizes in the archive and in the header: a file of a few bytes could make it allocate terabytes.
"""

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from minidl.io.checkpoint import MAX_SIZE, CheckpointError

INFLATION, SMALL = 50, 1 << 28                   # weights compress by a tenth; more is allowed in small files only
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file.   ->  {name: array}   Raises CheckpointError."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = checked_entries(archive, path.stat().st_size)
            return {entry.filename.removesuffix(".npy"): read_entry(archive, entry) for entry in entries}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:                   # zlib, zipfile and NumPy raise their own kinds
        raise CheckpointError(f"{path}: a damaged .npz file ({type(error).__name__}: {error})") from error


def checked_entries(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """The entries of an archive of `size` bytes. Raises CheckpointError if they declare more than it can hold."""
    entries = archive.infolist()
    packed, unpacked = sum(entry.compress_size for entry in entries), sum(entry.file_size for entry in entries)
    if packed > size:
        raise CheckpointError(f"its entries are larger than the file ({packed} bytes of {size})")
    if unpacked > min(MAX_SIZE, max(SMALL, packed * INFLATION)):
        raise CheckpointError(f"its entries declare {unpacked} bytes, more than the file can hold")
    return entries


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """The array in one entry."""
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in READERS:
            raise CheckpointError(f"{entry.filename} has the unknown version {version}")
        shape, column_major, dtype = READERS[version](file)
        if dtype.kind not in "biuf":
            raise CheckpointError(f"{entry.filename} holds elements of type {dtype}, not numbers")
        there = entry.file_size - file.tell()
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != there:
            raise CheckpointError(f"{entry.filename} declares {dtype} of shape {shape}, but holds {there} bytes")
        return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if column_major else "C")
