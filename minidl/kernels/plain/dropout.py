"""Dropout as array code."""

from minidl.device import array_module, generator
from minidl.kernels.plain.selection import select


def dropout(x, shape, seed, p, scale):
    """x * scale, where each element of a mask of `shape`, which broadcasts to x, is 0 with probability p.

    ->  out like x, the mask (*shape,). The same seed gives the same mask; other backends may give others.
    """
    kept = mask(array_module(x), shape, seed, p)
    return select(kept, x, scale), kept


def mask(xp, shape, seed, p):
    """An array of booleans, each true with probability 1 - p."""
    return generator(xp, seed).random(shape, dtype=xp.float32) >= p      # none if p is 1
