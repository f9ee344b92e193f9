"""What the tests of this folder share: gpu against plain, which gets the same numbers in float64."""

import emulator
import numpy as np
from hypothesis import strategies as st
from through_strict_arrays import ThroughStrictArrays

from minidl.kernels import gpu, plain

kernels = ThroughStrictArrays(gpu)
TOLERANCES = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-12}
dtypes = st.sampled_from(sorted(TOLERANCES))
SPECIAL = np.nan, np.inf, -np.inf, 0.0


def agree(name, *inputs, factor=1, exact=()):
    """Call a kernel with NumPy arrays, in two orders of threads and blocks, and compare all results with plain's.

    factor  of the tolerance;  exact: the positions of inputs that plain gets as they are
    """
    with emulator.twice():
        ours = getattr(kernels, name)(*inputs)
    with np.errstate(all="ignore"):
        theirs = getattr(plain, name)(*(x if i in exact else wide(x) for i, x in enumerate(inputs)))
    dtype = next(x.dtype for x in inputs if isinstance(x, np.ndarray) and x.dtype.kind == "f").name
    near(ours, theirs, factor * TOLERANCES[dtype])
    return ours


def near(ours, theirs, tolerance):
    """Equal up to rounding: arrays, or tuples of them, in which None is None."""
    if isinstance(theirs, tuple):
        for one, other in zip(ours, theirs, strict=True):
            near(one, other, tolerance)
    elif theirs is None:
        assert ours is None
    else:
        assert ours.shape == np.shape(theirs)
        if ours.dtype == np.float16:                             # which cannot hold more
            theirs = np.where(np.abs(theirs) > 65504, np.copysign(np.inf, theirs), theirs)
        np.testing.assert_allclose(ours.astype(np.float64), theirs, rtol=tolerance, atol=tolerance)


def wide(x):
    """Floats as float64."""
    return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x


def draw(seed, dtype, *shapes, special=False):
    """Arrays of normally distributed numbers; with `special`, every eighth is NaN, infinite or 0."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    if special:
        for x in arrays:
            chosen = rng.random(x.shape) < 1 / 8
            x[chosen] = rng.choice(SPECIAL, int(chosen.sum()))
    return arrays
