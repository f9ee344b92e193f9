"""The sums of a training step in one launch, against array code."""

import math

import emulator
import numpy as np
import pytest
import strict_array

from minidl.kernels import gpu, plain


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("shape", "loss"), [
    ((5, 3), 0.5), ((300, 1), 2.0), ((7, 2), math.nan), ((2, 4, 9, 40), math.inf), ((0, 3), 1.0),
], ids=str)
def test_it_is_array_codes(shape, loss, dtype, scaled):
    rng = np.random.default_rng(0)
    logits = np.round(rng.standard_normal(shape) * 2).astype(dtype)              # with equal ones
    if logits.size:
        logits[0, -1] = np.nan
    labels = rng.integers(-1, max(2, shape[1]), (shape[0], *shape[2:]))
    loss, sums = np.array(loss, "float32" if dtype == "float16" else dtype), np.array([1.0, 2.0, 3.0, 4.0, math.inf])
    there = strict_array.asarray(sums)
    plain.tally(sums, loss, 6, logits, labels, -1, scaled)
    with emulator.twice():
        gpu.tally(there, strict_array.asarray(loss), 6, strict_array.asarray(logits), strict_array.asarray(labels), -1,
                  scaled)
    np.testing.assert_array_equal(there.get(), sums)
    assert (sums[4] == 4) == (not scaled and not math.isfinite(loss))
