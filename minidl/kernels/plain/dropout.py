"""Which elements dropout keeps, as array code."""

import numpy as np

from minidl.device import array_module


def dropout_mask(x, shape, p, seed):
    """An array of `shape` whose elements are true with probability 1 - p, where the array x is; the same for a seed."""
    xp = array_module(x)
    if xp is np:
        random = np.random.default_rng(seed)
    elif xp.__name__ == "cupy":
        random = xp.random.Generator(xp.random.Philox4x3210(seed))       # seeds faster than CuPy's default generator
    else:
        random = xp.random.default_rng(seed)
    return random.random(shape, dtype=xp.float32) >= p
