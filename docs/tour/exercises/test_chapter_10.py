"""Tests of the exercises of chapter 10: kernels in the emulator, each in two orders of threads and blocks."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

import emulator
import strict_array as xp

pytestmark = pytest.mark.skipif(bool(emulator.missing()), reason=str(emulator.missing()))
rng = np.random.default_rng(0)


def launched(source, name, grid, block, out, *args):
    """What a kernel leaves in an array of the shape `out`."""
    out = xp.empty(out, dtype=np.float32)
    args = [xp.asarray(a) if isinstance(a, np.ndarray) else out if a is None else np.int32(a) for a in args]
    kernel = emulator.RawModule(code=source).get_function(name)
    with emulator.twice():
        for _ in range(4):
            kernel(grid, block, args)
    return out.get()


@pytest.mark.parametrize("shape", [(3, 64), (5, 200), (4, 7)])
def test_row_sums(exercise, shape):
    x = rng.standard_normal(shape, dtype=np.float32)
    sums = launched(exercise.row_sums_source(), "row_sums", (shape[0],), (64,), shape[0], x, None, shape[1])
    np.testing.assert_allclose(sums, x.sum(1), atol=1e-4)


def test_rows_are_summed_by_a_tree(exercise):
    assert "__shared__" in (source := exercise.row_sums_source())
    assert "atomicAdd" not in source


@pytest.mark.parametrize("shape", [(16, 16), (20, 33), (5, 70)])
def test_transpose(exercise, shape):
    x = rng.standard_normal(shape, dtype=np.float32)
    grid = -(-shape[1] // 16), -(-shape[0] // 16)
    out = launched(exercise.transpose_source(), "transpose", grid, (16, 16), shape[::-1], x, None, *shape)
    np.testing.assert_array_equal(out, x.T)


@pytest.mark.parametrize("sizes", [(16, 16, 16), (37, 50, 45), (3, 20, 17)])
def test_two_rows(exercise, sizes):
    m, k, n = sizes
    a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
    grid = -(-n // 16), -(-m // 16)
    out = launched(exercise.two_rows_source(), "product", grid, (16, 8), (m, n), a, b, None, m, k, n)
    np.testing.assert_allclose(out, a @ b, atol=1e-4)
