"""The CPU's algorithms for pooling, for few channels and for many, against the plain kernels and each other."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import Window, plain
from minidl.testing.strategies import layouts, poolings, seeds

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.functional.pooling import pooling_window
from minidl.kernels import cpu
from minidl.kernels.cpu import max_pooling

channels = st.sampled_from([3, 16, 32, 37, 70])
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@dtypes
@given(case=poolings(dilated=True), ceil=st.booleans(), c=channels, layout=layouts, seed=seeds)
def test_max_pool2d(dtype, case, ceil, c, layout, seed):
    """With ties, NaN and infinities; the gradient too."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-np.inf, -1, 0, 1, np.nan], size=(case.x[0], c, *case.x[2:])).astype(dtype)
    window = pooling_window("max_pool2d", x, **case.settings, ceil_mode=ceil)
    expected, expected_winner = plain.max_pool2d(x, window)
    out, winner = cpu.max_pool2d(layout(x), window)
    assert (out.dtype, winner.dtype) == (dtype, np.uint8)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(winner, expected_winner)
    grad = rng.standard_normal(out.shape).astype(dtype)
    dx = cpu.max_pool2d_gradient(layout(grad), layout(winner), x.shape, window)
    assert dx.dtype == dtype
    np.testing.assert_allclose(dx, plain.max_pool2d_gradient(grad, winner, x.shape, window), rtol=1e-5, atol=1e-5)


@dtypes
@given(case=poolings(), c=channels, per_output=st.booleans(), layout=layouts, seed=seeds)
def test_avg_pool2d(dtype, case, c, per_output, layout, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((case.x[0], c, *case.x[2:])).astype(dtype)
    window = pooling_window("avg_pool2d", x, **case.settings)
    share = rng.standard_normal(window.out(x.shape[2:])).astype(dtype) if per_output else 0.3
    out = cpu.avg_pool2d(layout(x), window, share)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, plain.avg_pool2d(x, window, share), rtol=1e-4, atol=1e-5)
    dx = cpu.avg_pool2d_gradient(layout(out), x.shape, window, share)
    assert dx.dtype == dtype
    np.testing.assert_allclose(dx, plain.avg_pool2d_gradient(out, x.shape, window, share), rtol=1e-4, atol=1e-5)


@dtypes
@pytest.mark.parametrize(("c", "size"), [(3, (1, 1)), (37, (7, 7)), (200, (13, 11)), (64, (2, 33))])
def test_mean_of_whole_images(dtype, c, size):
    """An algorithm of its own, with fewer pixels and channels than it processes at once, and with more."""
    x = np.random.default_rng(0).standard_normal((3, c, *size)).astype(dtype)
    window = Window(size, (2, 3))
    for share in (0.3, np.full((1, 1), 0.3, dtype)):
        out = cpu.avg_pool2d(x, window, share)
        assert out.dtype == dtype
        np.testing.assert_allclose(out, plain.avg_pool2d(x, window, share), rtol=1e-4, atol=1e-5)
        dx = cpu.avg_pool2d_gradient(out, x.shape, window, share)
        assert dx.dtype == dtype
        np.testing.assert_allclose(dx, plain.avg_pool2d_gradient(out, x.shape, window, share), rtol=1e-6)


def test_mean_of_many_pixels_stays_accurate():
    x = np.full((1, 16, 300, 300), 0.1, np.float32)
    np.testing.assert_allclose(cpu.avg_pool2d(x, Window((300, 300)), 1 / 90000), 0.1, rtol=1e-6)


def test_many_channels_and_more_taps_than_a_byte_can_number():
    x = np.random.default_rng(0).standard_normal((1, 40, 20, 20)).astype(np.float32)
    out, winner = cpu.max_pool2d(x, Window((20, 20)))
    assert winner.dtype == np.uint16
    np.testing.assert_array_equal(cpu.max_pool2d_gradient(out, winner, x.shape, Window((20, 20))), x * (x == out))


def test_a_window_of_padding_alone_passes_no_gradient():
    """The window begins in the padding, which in memory is the end of another row: no gradient may be added there."""
    window = Window((1, 2), (1, 2), ((0, 0), (1, 1)), (1, 2))
    for c in (3, 40):
        x = np.zeros((1, c, 2, 1), np.float32)
        out, winner = cpu.max_pool2d(x, window)
        assert (out == -np.inf).all()
        assert not cpu.max_pool2d_gradient(np.ones_like(out), winner, x.shape, window).any()


@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((1, 1), (0, 1))])
def test_both_algorithms_give_the_same_bits(monkeypatch, pads):
    """Forward and backward, with 48 channels counted as many, and as few."""
    x = np.random.default_rng(0).standard_normal((2, 48, 13, 12)).astype(np.float32)
    window = Window((3, 3), (2, 1), pads)
    results = []
    for many in (1, 1000):
        monkeypatch.setattr(max_pooling, "MANY_CHANNELS", many)
        monkeypatch.setattr(max_pooling, "MANY_CHANNELS_BACKWARD", many)
        out, winner = cpu.max_pool2d(x, window)
        results.append((out, winner, cpu.max_pool2d_gradient(out, winner, x.shape, window)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@dtypes
@pytest.mark.parametrize("size", [(7, 9), (6, 10), (7, 11), (2, 3), (3, 4)])
@pytest.mark.parametrize("c", [3, 37])
def test_pixels_beyond_the_last_window_get_no_gradient(dtype, size, c):
    x = np.random.default_rng(0).standard_normal((2, c, *size)).astype(dtype)
    window = Window((2, 3), (2, 3))
    out, winner = cpu.max_pool2d(x, window)
    grad = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    np.testing.assert_array_equal(cpu.max_pool2d_gradient(grad, winner, x.shape, window),
                                  plain.max_pool2d_gradient(grad, winner, x.shape, window))
