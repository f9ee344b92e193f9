"""Dropout: NumPy draws the mask, and all threads apply it."""

import numpy as np

from minidl.capture import from_host
from minidl.kernels.cpu.selection import select
from minidl.kernels.plain.dropout import mask


def dropout(x, shape, seed, p, scale):
    kept = from_host(lambda: mask(np, shape, int(seed), p))
    return select(kept, x, scale), kept
