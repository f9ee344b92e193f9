"""IDX files made by hand, for the tests."""

import gzip
import struct

import numpy as np


def idx_bytes(array):
    """`array` of bytes in the IDX format."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_pair(folder, split, images, labels, packed=True):
    """Write MNIST's two files of a split, "train" or "t10k", and return their contents by name."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"{split}-images-idx3-ubyte": idx_bytes(images), f"{split}-labels-idx1-ubyte": idx_bytes(labels)}
    if packed:
        contents = {f"{name}.gz": gzip.compress(data) for name, data in contents.items()}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return contents
