"""NumPy's .npz archives, without pickles, and with every size held against the file before room is made for it.

An .npz is a zip archive of .npy files, each a header with dtype and shape, and then raw numbers. `numpy.load` believes
both the archive's and the header's sizes; a file of some bytes could make it ask for terabytes.
"""

import math
import zipfile

import numpy as np
from numpy.lib import format as npy

from minidl.io.checkpoint import MAX_SIZE, CheckpointError

INFLATION, SMALL = 50, 1 << 28                   # weights shrink by a tenth; only what is small may shrink to nothing
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path):
    """The arrays of an .npz file.   ->  {name: array}   Raises CheckpointError."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            packed, size = sum(entry.compress_size for entry in entries), sum(entry.file_size for entry in entries)
            if packed > path.stat().st_size or size > min(MAX_SIZE, max(SMALL, packed * INFLATION)):
                raise CheckpointError(f"its entries declare {size} bytes, more than such a file holds")
            return {entry.filename.removesuffix(".npy"): read_entry(archive, entry) for entry in entries}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:                   # of many kinds: zlib's, zipfile's, NumPy's
        raise CheckpointError(f"{path}: a damaged .npz file ({type(error).__name__}: {error})") from error


def read_entry(archive, entry):
    """The array in one entry."""
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in READERS:
            raise CheckpointError(f"{entry.filename} is of the unknown version {version}")
        shape, column_major, dtype = READERS[version](file)
        if dtype.kind not in "biuf":
            raise CheckpointError(f"{entry.filename} holds {dtype}, not numbers")
        there = entry.file_size - file.tell()
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != there:
            raise CheckpointError(f"{entry.filename} declares {dtype} of shape {shape}, but holds {there} bytes")
        return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if column_major else "C")
