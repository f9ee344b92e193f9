"""Softmax and cross entropy in one pass: cpu and plain against float64; and the exp and log they use."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import plain
from minidl.testing.strategies import layouts, seeds

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

import numba

from minidl.kernels import cpu
from minidl.kernels.cpu.llvm import vector_math

SHAPES = [(1, 1), (5, 3), (128, 10), (600, 10), (17, 1000), (3, 1, 7), (2, 4, 5, 9), (4, 2, 40, 33), (3, 70, 16)]


@numba.njit(error_model="numpy")
def exp_all(x, out):
    for i in range(len(x)):
        out[i] = vector_math.exp(x[i])


@numba.njit(error_model="numpy")
def log_all(x, out):
    for i in range(len(x)):
        out[i] = vector_math.log(x[i])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1.2e-7), ("float64", 1e-15)])
def test_exp_and_log(dtype, tolerance):
    """To one unit in the last place, and exact at the ends of the range."""
    x = -np.concatenate([np.geomspace(1e-9, 87, 20_001), np.linspace(0, 87, 20_001)]).astype(dtype)
    out = np.empty_like(x)
    exp_all(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.longdouble)).astype(float), rtol=tolerance)
    x = np.array([0, -0.0, -200, -np.inf, np.nan], dtype)
    out = np.empty_like(x)
    exp_all(x, out)
    np.testing.assert_allclose(out, [1, 1, 0, 0, np.nan], atol=1e-80)
    x = np.concatenate([1 + np.geomspace(1e-7, 1, 20_001), np.geomspace(1, 1e30, 20_001), [1, np.nan]]).astype(dtype)
    out = np.empty_like(x)
    log_all(x, out)
    np.testing.assert_allclose(out, np.log(x.astype(np.longdouble)).astype(float), rtol=2 * tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(layout=layouts, seed=seeds, smoothing=st.sampled_from([0.0, 0.1, 1.0]), mean=st.booleans(),
       ignored=st.sampled_from([-100, 0]))
def test_cpu_and_plain_agree(shape, dtype, layout, seed, smoothing, mean, ignored):
    rng = np.random.default_rng(seed)
    logits, weight = (3 * rng.standard_normal(shape)).astype(dtype), rng.random(shape[1]).astype(dtype)
    target = rng.integers(shape[1], size=shape[:1] + shape[2:])
    if ignored < 0:
        target[rng.random(target.shape) < 0.3] = ignored
    exact = plain.cross_entropy(logits.astype(float), target, weight.astype(float), ignored, smoothing, mean)
    laid, laid_target = layout(logits), layout(target)
    tolerance = 2e-5 if dtype == "float32" else 1e-10
    for kernels in (plain, cpu):
        losses, total, gradient = kernels.cross_entropy(laid, laid_target, weight, ignored, smoothing, mean)
        assert losses.dtype == gradient.dtype == dtype
        for ours, expected in zip((losses, total, gradient), exact, strict=True):
            assert np.shape(ours) == np.shape(expected)
            np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(laid, logits)
    np.testing.assert_array_equal(laid_target, target)


@pytest.mark.parametrize("more", [0, 97])
def test_infinite_huge_and_nan_scores(more):
    """A class with score -inf has gradient 0, as have all `more` classes; NaN stays with its target."""
    logits = np.array([[1, -np.inf, 2], [1e30, -1e30, 0], [np.nan, 0, 0], [0, 0, 0]], np.float32)
    logits, weight = np.pad(logits, ((0, 0), (0, more)), constant_values=-np.inf), np.ones(3 + more, np.float32)
    for kernels in (plain, cpu):
        losses, _, gradient = kernels.cross_entropy(logits, np.array([2, 0, 1, 0]), weight, -100, 0.0, False)
        np.testing.assert_array_equal(gradient[[0, 1, 3], 3:], 0)
        gradient = gradient[:, :3]
        np.testing.assert_allclose(losses, [np.log(1 + np.exp(-1)), 0, np.nan, np.log(3)], rtol=1e-6)
        np.testing.assert_allclose(gradient[0], [1 / (1 + np.e), 0, -1 / (1 + np.e)], rtol=1e-6)
        np.testing.assert_array_equal(gradient[1], 0)
        assert np.isnan(gradient[2]).all()
        np.testing.assert_allclose(gradient[3], [-2 / 3, 1 / 3, 1 / 3], rtol=1e-6)


def test_all_targets_ignored():
    for kernels in (plain, cpu):
        losses, total, gradient = kernels.cross_entropy(np.ones((2, 3)), np.array([7, 7]), np.ones(3), 7, 0.1, True)
        assert total == 0
        assert not losses.any()
        assert not gradient.any()
