"""Pooling and resampling on the GPU: windows of all kinds, dtypes, memory orders, NaN and infinities."""

import numpy as np
import pytest
from agreement import agree, draw, dtypes, kernels
from hypothesis import given
from hypothesis import strategies as st

from minidl.functional.padding import copies
from minidl.functional.pooling import averaging, pooling_window
from minidl.functional.resize import linear
from minidl.kernels import Window, plain
from minidl.kernels.gpu import resampling
from minidl.kernels.gpu.pooling import grid_of
from minidl.testing.strategies import layouts, poolings, seeds

OVERLAPPING = Window((17, 18))                           # more than 255 taps, and many windows share a pixel


@given(case=poolings(dilated=True), dtype=dtypes, layout=layouts, relu=st.booleans(), special=st.booleans(), seed=seeds)
def test_max_pooling(case, dtype, layout, relu, special, seed):
    x, = draw(seed, dtype, case.x, special=special)
    window = pooling_window("max_pool2d", x, **case.settings)
    _, winner = agree("max_pool2d", layout(x), window, relu)
    grad, = draw(seed, dtype, winner.shape)
    agree("max_pool2d_gradient", layout(grad), winner, x.shape, window, factor=4)


@given(shape=st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
       size=st.tuples(st.integers(1, 11), st.integers(1, 11)), dtype=dtypes, layout=layouts, special=st.booleans(),
       seed=seeds)
def test_adaptive_max_pooling(shape, size, dtype, layout, special, seed):
    """Into fewer parts than pixels, and into more."""
    x, = draw(seed, dtype, shape, special=special)
    _, winner = agree("adaptive_max_pool2d", layout(x), size)
    grad, = draw(seed, dtype, winner.shape)
    agree("adaptive_max_pool2d_gradient", layout(grad), winner, shape, factor=4)


@given(case=poolings(), dtype=dtypes, layout=layouts, shared=st.booleans(), special=st.booleans(), seed=seeds)
def test_average_pooling(case, dtype, layout, shared, special, seed):
    """With one share for all windows, or one for each."""
    x, = draw(seed, dtype, case.x, special=special)
    window = pooling_window("avg_pool2d", x, **case.settings)
    share, grad = draw(seed, dtype, window.out(x.shape[2:]), (*x.shape[:2], *window.out(x.shape[2:])))
    share = 0.25 if shared else share
    agree("avg_pool2d", layout(x), window, share, factor=8)
    agree("avg_pool2d_gradient", layout(grad), x.shape, window, share, factor=8)


@pytest.mark.parametrize("shape", [(2, 3, 20, 40), (0, 3, 20, 40)])
def test_large_windows_and_empty_batches(shape):
    x, = draw(0, "float32", shape)
    if len(x):
        _, winner = agree("max_pool2d", x, OVERLAPPING, True)
        assert winner.dtype == np.uint16
    else:
        winner = kernels.max_pool2d(x, OVERLAPPING)[1]
    grad, = draw(0, "float32", winner.shape)
    assert kernels.max_pool2d_gradient(grad, winner, shape, OVERLAPPING).shape == shape
    if len(x):
        agree("max_pool2d_gradient", grad, winner, shape, OVERLAPPING)
        agree("avg_pool2d_gradient", grad, shape, OVERLAPPING, 1 / 306)


def test_more_than_300_channels():
    x, = draw(0, "float32", (2, 300, 5, 4))
    agree("max_pool2d", x, Window((2, 2), (2, 2)))
    agree("avg_pool2d", x, Window((5, 4)), 1 / 20)


def test_too_many_pixels():
    with pytest.raises(ValueError, match=r"pooling: pixels: 2147483648, and the GPU's kernels take fewer than 2\*\*31"):
        grid_of(2**31, 3)


@given(shape=st.tuples(*[st.integers(1, 5)] * 4), out=st.tuples(*[st.integers(1, 9)] * 2), dtype=dtypes, layout=layouts,
       kind=st.sampled_from(["linear", "averaging", "copies"]), special=st.booleans(), seed=seeds)
def test_resampling(shape, out, dtype, layout, kind, special, seed):
    """Taps of weight 0 let neither NaN nor infinity through."""
    x, = draw(seed, dtype, shape, special=special)
    taps = {"linear": lambda n, m: linear(n, m, n / m, False), "averaging": averaging,
            "copies": lambda n, m: copies(n, m, 1, "replicate")}[kind]
    (rows, rows_back), (columns, columns_back) = (taps(n, m) for n, m in zip(shape[2:], out, strict=True))
    ours = agree("resample", layout(x), rows, columns, factor=4)
    grad, = draw(seed, dtype, ours.shape)
    agree("resample", layout(grad), rows_back, columns_back, factor=4)


def test_taps_stay_on_the_device(monkeypatch):
    """A step of training copies none, and the latest are kept."""
    monkeypatch.setattr(resampling, "KEPT", 2)
    x, = draw(0, "float32", (1, 1, 5, 5))
    resampling.copies.clear()
    for size in (3, 7, 3):
        taps = linear(5, size, 5 / size, False)[0]
        np.testing.assert_allclose(kernels.resample(x, taps, taps), plain.resample(x, taps, taps), rtol=1e-5, atol=1e-6)
        kept = dict(resampling.copies)
        assert len(kept) <= 2
        kernels.resample(x, taps, taps)
        assert all(resampling.copies[key] is value for key, value in kept.items())
