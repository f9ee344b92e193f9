"""Tests of the exercises of chapter 9."""

import numpy as np
import pytest

rng = np.random.default_rng(0)


def test_packed_panels(exercise):
    b = np.arange(12, dtype=np.float32).reshape(2, 6)
    panels = exercise.packed(b, 4)
    np.testing.assert_array_equal(panels, [[[0, 1, 2, 3], [6, 7, 8, 9]], [[4, 5, 0, 0], [10, 11, 0, 0]]])
    assert panels.dtype == b.dtype
    assert panels.flags.c_contiguous
    assert exercise.packed(b, 3).shape == (2, 2, 3)


@pytest.mark.parametrize("sizes", [(4, 8, 8), (5, 7, 9), (1, 1, 1), (9, 20, 3)])
def test_tiled_product(exercise, sizes):
    m, k, n = sizes
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    np.testing.assert_allclose(exercise.tiled(a, b, mr=4, nr=4, kc=8), a @ b, rtol=1e-12, atol=1e-12)
    assert exercise.tiled(a.astype(np.float32), b.astype(np.float32), 2, 3, 5).dtype == np.float32


def test_operations_and_bytes(exercise):
    roof = exercise.Roof.of_convolution((2, 3, 5, 7), 4, 3)
    assert roof.flops == 2 * (2 * 5 * 7) * (4 * 3 * 9)
    assert roof.moved == 4 * (2 * 3 * 5 * 7 + 4 * 3 * 9 + 2 * 4 * 5 * 7)


def test_limit(exercise):
    few, many = (exercise.Roof.of_convolution((1, c, 100, 100), c, 1) for c in (4, 512))
    assert few.least_seconds(100e9, 10e9) == (pytest.approx(few.moved / 10e9), "memory")
    assert many.least_seconds(100e9, 10e9) == (pytest.approx(many.flops / 100e9), "arithmetic")
