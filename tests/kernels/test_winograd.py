"""Winograd's convolution: its matrices, its kernels against naive loops, its rounding, and when it is chosen."""

import os

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from minidl import kernels
from minidl.kernels import Window, plain
from minidl.testing.strategies import distinct_values, layouts, seeds

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the fast kernels need Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu import convolution, direct, winograd, winograd_maps
from minidl.kernels.cpu.target import VECTOR_BYTES

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
LANES = VECTOR_BYTES // 4
SAME = Window((3, 3), padding=((1, 1), (1, 1)))


@st.composite
def cases(draw):
    """Images and filters for 3x3 windows, channels in whole vectors: (m, dtype, x's shape, weight's shape, window)."""
    m, dtype = draw(st.sampled_from([2, 4])), draw(st.sampled_from(sorted(TOLERANCES)))
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    pads = draw(st.tuples(*[st.tuples(*[st.integers(0, 3)] * 2)] * 2))
    size = [draw(st.integers(max(1, 3 - sum(p)), 9)) for p in pads]
    n, c, f = draw(st.integers(1, 3)), draw(st.integers(1, 2)) * lanes, draw(st.integers(1, 3)) * lanes
    return m, dtype, (n, c, *size), (f, c, 3, 3), Window((3, 3), padding=pads)


def near(actual, expected, dtype):
    """Equal up to rounding, relative to the largest number, of the right dtype."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCES[dtype] * (1 + abs(expected).max()))


@pytest.mark.parametrize("m", [2, 4])
def test_the_matrices_filter_with_fewer_products(m):
    """A' [(G g) * (B' d)] is the row of outputs, and G' [(B' d) * (A y)] the gradient by g, in one dimension."""
    matrices = (np.array(getattr(winograd_maps, f"{name}_{m}")) for name in ("PAIRS", "INPUT", "FILTER", "OUTPUT"))
    pairs, of_input, of_filter, of_output = matrices
    rng = np.random.default_rng(0)
    d, g, y = rng.standard_normal(m + 2), rng.standard_normal(3), rng.standard_normal(m)
    v, u = pairs @ of_input @ d, pairs @ of_filter @ g
    np.testing.assert_allclose(of_output @ pairs @ (u * v), np.correlate(d, g), atol=1e-12)
    z = pairs.T @ of_output.T @ y
    np.testing.assert_allclose(of_filter.T @ pairs.T @ (v * z), np.correlate(d, y), atol=1e-12)


@given(case=cases(), layout=layouts, biased=st.booleans(), relu=st.booleans(), seed=seeds)
def test_conv2d(case, layout, biased, relu, seed):
    m, dtype, x_shape, w_shape, window = case
    x, weight, bias = (a.astype(dtype) for a in distinct_values(x_shape, w_shape, w_shape[:1], seed=seed))
    bias = bias if biased else None
    out = winograd.conv2d(layout(x), layout(weight), bias, window, m, relu)
    expected = plain.conv2d(x.astype(np.float64), weight, bias, window)
    near(out, np.maximum(expected, 0) if relu else expected, dtype)


@given(case=cases(), layout=layouts, seed=seeds)
def test_gradients(case, layout, seed):
    m, dtype, x_shape, w_shape, window = case
    out = (x_shape[0], w_shape[0], *window.out(x_shape[2:]))
    x, weight, grad = (a.astype(dtype) for a in distinct_values(x_shape, w_shape, out, seed=seed))
    wide = [a.astype(np.float64) for a in (x, weight, grad)]
    dx = winograd.conv2d_input_gradient(layout(grad), layout(weight), x_shape, window, m)
    near(dx, plain.conv2d_input_gradient(wide[2], wide[1], x_shape, window), dtype)
    dweight = winograd.conv2d_weight_gradient(layout(grad), layout(x), window, m)
    near(dweight, plain.conv2d_weight_gradient(wide[2], wide[0], window), dtype)


@pytest.mark.parametrize("m", [2, 4])
def test_against_naive_loops(m):
    x, weight, bias = distinct_values((2, LANES, 5, 7), (LANES, LANES, 3, 3), (LANES,), seed=0)
    expected = reference.conv2d(x, weight, bias, stride=1, padding=1, dilation=1, groups=1)
    near(winograd.conv2d(x, weight, bias, SAME, m), expected, "float64")


@pytest.mark.parametrize("m", [2, 4])
def test_many_chunks_blocks_and_panels(m, monkeypatch):
    """Chunks that end within a block, a last panel that is not full, and parts of a weight gradient."""
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 1)
    rng = np.random.default_rng(0)
    x, weight, grad = (rng.standard_normal(s) for s in ((5, 4 * LANES, 19, 21), (5 * LANES, 4 * LANES, 3, 3),
                                                        (5, 5 * LANES, 19, 21)))
    near(winograd.conv2d(x, weight, None, SAME, m), plain.conv2d(x, weight, None, SAME), "float64")
    dx = winograd.conv2d_input_gradient(grad, weight, x.shape, SAME, m)
    near(dx, plain.conv2d_input_gradient(grad, weight, x.shape, SAME), "float64")
    dweight = winograd.conv2d_weight_gradient(grad, x, SAME, m)
    near(dweight, plain.conv2d_weight_gradient(grad, x, SAME), "float64")


@pytest.mark.parametrize(("way", "bound"), [(0, 5e-6), (2, 5e-6), (4, 2e-5)])
@pytest.mark.parametrize("channels", [64, 512])
def test_rounding(way, bound, channels):
    """The largest error of float32 relative to the largest output: docs/performance.md states these bounds."""
    rng = np.random.default_rng(0)
    x, grad = rng.standard_normal((2, 2, channels, 14, 14), dtype=np.float32)
    weight = rng.standard_normal((64, channels, 3, 3), dtype=np.float32)
    grad = grad[:, :64]
    module, m = (winograd, {"m": way}) if way else (direct, {})
    results = [
        (module.conv2d(x, weight, None, SAME, **m), direct.conv2d(*wide(x, weight), None, SAME)),
        (module.conv2d_input_gradient(grad, weight, x.shape, SAME, **m),
         direct.conv2d_input_gradient(*wide(grad, weight), x.shape, SAME)),
        (module.conv2d_weight_gradient(grad, x, SAME, **m), direct.conv2d_weight_gradient(*wide(grad, x), SAME)),
    ]
    for result, exact in results:
        assert abs(result - exact).max() / abs(exact).max() < bound


def wide(*arrays):
    """The arrays in float64."""
    return [a.astype(np.float64) for a in arrays]


def chosen(n, c, size, f, window=SAME, groups=1):
    """The side of Winograd's squares for float32, or 0."""
    return convolution.square(np.empty(0, np.float32), (n, c, size, size), f, window, groups)


def test_the_choice_by_shape():
    assert chosen(32, 64, 32, 64) == chosen(128, 32, 16, 32) == chosen(4, 64, 224, 64) == 4
    assert chosen(8, 64, 6, 64) == chosen(64, 512, 2, 512) == 2                     # where four at a time would not fit
    assert chosen(1, 512, 7, 512) == chosen(1, 32, 8, 32) == chosen(64, 64, 1, 64) == 0     # too little to repay
    assert chosen(0, 64, 32, 64) == 0                                               # an empty batch
    assert chosen(128, 3, 32, 64) == chosen(32, 64, 32, 10) == 0                    # not whole vectors of channels
    assert chosen(32, 64, 32, 64, groups=2) == 0
    for window in (SAME._replace(stride=(2, 2)), SAME._replace(dilation=(2, 2)), Window((5, 5)), Window((1, 1))):
        assert chosen(32, 64, 32, 64, window) == 0


def test_it_can_be_forbidden():
    x = np.random.default_rng(0).standard_normal((4, 64, 16, 16), dtype=np.float32)
    weight = np.random.default_rng(1).standard_normal((64, 64, 3, 3), dtype=np.float32)
    fast = cpu.conv2d(x, weight, None, SAME)
    with kernels.using("direct"):
        exact = cpu.conv2d(x, weight, None, SAME)
        assert kernels.kernels_for(x) is cpu
    np.testing.assert_array_equal(exact, direct.conv2d(x, weight, None, SAME))
    np.testing.assert_array_equal(fast, winograd.conv2d(x, weight, None, SAME, 4))
    assert (fast != exact).any()
