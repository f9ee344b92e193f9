"""Dropout: NumPy draws the mask, and all threads apply it."""

import numpy as np

from minidl.kernels.cpu.selection import select
from minidl.kernels.plain.dropout import mask


def dropout(x, shape, seed, p, scale):
    kept = mask(np, shape, seed, p)
    return select(kept, x, scale), kept
