"""Winograd convolution: its matrices, its kernels against naive loops, its rounding, and when it is chosen."""

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
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu import convolution
from minidl.kernels.cpu.convolution import direct, winograd, winograd_transforms
from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
LANES = VECTOR_BYTES // 4
F2_3, F4_3, F2_5 = winograd_transforms.SCHEMES
each_scheme = pytest.mark.parametrize("scheme", winograd_transforms.SCHEMES)


def same(r):
    """The window of r x r pixels that keeps the size of an image."""
    return Window((r, r), padding=((r // 2, r // 2),) * 2)


@st.composite
def cases(draw):
    """Images and filters with whole vectors of channels, or with a panel's worth of channels that is not whole.

    (scheme, groups, dtype, x.shape, weight.shape, window)
    """
    scheme, dtype = draw(st.sampled_from(winograd_transforms.SCHEMES)), draw(st.sampled_from(sorted(TOLERANCES)))
    r, lanes, groups = scheme.r, VECTOR_BYTES // np.dtype(dtype).itemsize, draw(st.integers(1, 2))
    pads = draw(st.tuples(*[st.tuples(*[st.integers(0, r)] * 2)] * 2))
    size = [draw(st.integers(max(1, r - sum(p)), 9)) for p in pads]
    n, c, f = draw(st.integers(1, 3)), draw(st.integers(1, 2)) * lanes, draw(st.integers(1, 3)) * lanes
    if groups == 1 and draw(st.booleans()):
        c = draw(st.sampled_from([lanes, 3 * lanes])) + draw(st.integers(1, lanes - 1))
    return scheme, groups, dtype, (n, groups * c, *size), (groups * f, c, r, r), Window((r, r), padding=pads)


def near(actual, expected, dtype):
    """Equal up to rounding, relative to the largest element, of the right dtype."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCES[dtype] * (1 + abs(expected).max()))


@each_scheme
def test_the_matrices_filter_with_fewer_multiplications(scheme):
    """In one dimension, the outputs are A' [(G g) * (B' d)], and the gradient by g is G' [(B' d) * (A y)]."""
    m, r, n = scheme
    pairs, of_input = np.array(winograd_transforms.PAIRS[n]), np.array(winograd_transforms.INPUT[n])
    of_filter, of_output = np.array(winograd_transforms.FILTER[n, r]), np.array(winograd_transforms.OUTPUT[m, n])
    assert n == m + r - 1
    rng = np.random.default_rng(0)
    d, g, y = rng.standard_normal(n), rng.standard_normal(r), rng.standard_normal(m)
    v, u = pairs @ of_input @ d, pairs @ of_filter @ g
    np.testing.assert_allclose(of_output @ pairs @ (u * v), np.correlate(d, g), atol=1e-12)
    z = pairs.T @ of_output.T @ y
    np.testing.assert_allclose(of_filter.T @ pairs.T @ (v * z), np.correlate(d, y), atol=1e-12)


@given(case=cases(), layout=layouts, biased=st.booleans(), relu=st.booleans(), seed=seeds)
def test_conv2d(case, layout, biased, relu, seed):
    scheme, groups, dtype, x_shape, w_shape, window = case
    x, weight, bias = (a.astype(dtype) for a in distinct_values(x_shape, w_shape, w_shape[:1], seed=seed))
    bias = bias if biased else None
    out = winograd.conv2d(layout(x), layout(weight), bias, window, scheme, relu)
    expected = plain.conv2d(x.astype(np.float64), weight, bias, window, groups)
    near(out, np.maximum(expected, 0) if relu else expected, dtype)


@given(case=cases(), layout=layouts, seed=seeds)
def test_gradients(case, layout, seed):
    scheme, groups, dtype, x_shape, w_shape, window = case
    out = (x_shape[0], w_shape[0], *window.out(x_shape[2:]))
    x, weight, grad = (a.astype(dtype) for a in distinct_values(x_shape, w_shape, out, seed=seed))
    wide = [a.astype(np.float64) for a in (x, weight, grad)]
    dx = winograd.conv2d_input_gradient(layout(grad), layout(weight), x_shape, window, scheme, groups)
    near(dx, plain.conv2d_input_gradient(wide[2], wide[1], x_shape, window, groups), dtype)
    dweight = winograd.conv2d_weight_gradient(layout(grad), layout(x), window, scheme, groups)
    near(dweight, plain.conv2d_weight_gradient(wide[2], wide[0], window, groups), dtype)


@each_scheme
def test_against_naive_loops(scheme):
    r = scheme.r
    x, weight, bias = distinct_values((2, 2 * LANES, 5, 7), (2 * LANES, LANES, r, r), (2 * LANES,), seed=0)
    expected = reference.conv2d(x, weight, bias, stride=1, padding=r // 2, dilation=1, groups=2)
    near(winograd.conv2d(x, weight, bias, same(r), scheme), expected, "float64")


@each_scheme
@pytest.mark.parametrize(("kept", "at_once"), [(0, 1), (0, 2**30), (2**30, 1)])
@pytest.mark.parametrize(("groups", "more"), [(1, 0), (1, 3), (2, 0)])
def test_many_chunks_blocks_and_panels(scheme, groups, more, kept, at_once, monkeypatch):
    """Chunks that end within a block, a last panel that is not full, channels by one vector, splits of a gradient."""
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 1)
    monkeypatch.setattr(winograd, "FILTER_BYTES", at_once)
    for limit in ("KEPT_BYTES", "KEPT_SUMS"):                  # of filters and sums that a thread keeps
        monkeypatch.setattr(winograd, limit, kept)
    rng, r = np.random.default_rng(0), scheme.r
    c, f, window = 4 * LANES // groups + more, 5 * LANES, same(r)
    x, weight, grad = (rng.standard_normal(s) for s in ((5, groups * c, 19, 21), (groups * f, c, r, r),
                                                        (5, groups * f, 19, 21)))
    out = winograd.conv2d(x, weight, None, window, scheme)
    near(out, plain.conv2d(x, weight, None, window, groups), "float64")
    dx = winograd.conv2d_input_gradient(grad, weight, x.shape, window, scheme, groups)
    near(dx, plain.conv2d_input_gradient(grad, weight, x.shape, window, groups), "float64")
    dweight = winograd.conv2d_weight_gradient(grad, x, window, scheme, groups)
    near(dweight, plain.conv2d_weight_gradient(grad, x, window, groups), "float64")


@pytest.mark.parametrize("channels", [2 * LANES, LANES + 3])
def test_large_outputs_go_past_the_caches(channels, monkeypatch):
    """Only where each vector is aligned; the results are the same."""
    x, weight = distinct_values((3, LANES, 30, 29), (channels, LANES, 3, 3), seed=0)
    x, weight = x.astype(np.float32), weight.astype(np.float32)
    expected = winograd.conv2d(x, weight, None, same(3), F4_3, True)
    monkeypatch.setattr(winograd, "STREAMED", 0)
    np.testing.assert_array_equal(winograd.conv2d(x, weight, None, same(3), F4_3, True), expected)


@pytest.mark.parametrize(("r", "scheme", "bound"), [(3, None, 5e-6), (3, F2_3, 5e-6), (3, F4_3, 2e-5),
                                                    (5, None, 1e-5), (5, F2_5, 2e-5)])
@pytest.mark.parametrize("channels", [64, 512])
def test_rounding(r, scheme, bound, channels):
    """The largest error of float32 relative to the largest output: docs/performance.md states these bounds."""
    rng, window = np.random.default_rng(0), same(r)
    x, grad = rng.standard_normal((2, 2, channels, 14, 14), dtype=np.float32)
    weight = rng.standard_normal((64, channels, r, r), dtype=np.float32)
    grad = grad[:, :64]
    module, settings = (winograd, {"scheme": scheme}) if scheme else (direct, {})
    results = [
        (module.conv2d(x, weight, None, window, **settings), direct.conv2d(*wide(x, weight), None, window)),
        (module.conv2d_input_gradient(grad, weight, x.shape, window, **settings),
         direct.conv2d_input_gradient(*wide(grad, weight), x.shape, window)),
        (module.conv2d_weight_gradient(grad, x, window, **settings),
         direct.conv2d_weight_gradient(*wide(grad, x), window)),
    ]
    for result, exact in results:
        assert abs(result - exact).max() / abs(exact).max() < bound


def wide(*arrays):
    """The arrays as float64."""
    return [a.astype(np.float64) for a in arrays]


def chosen(n, c, size, f, window, groups=1):
    """The Scheme chosen for float32, or None."""
    return convolution.winograd_scheme(np.empty(0, np.float32), (n, c, size, size), f, window, groups)


def test_the_choice_by_shape():
    for n, c, size, f in ((32, 64, 32, 64), (128, 32, 16, 32), (4, 64, 224, 64)):
        assert chosen(n, c, size, f, same(3)) == F4_3
    for n, c, size, f in ((8, 64, 6, 64), (64, 512, 2, 512)):                             # too small for tiles of 4x4
        assert chosen(n, c, size, f, same(3)) == F2_3
    for n, c, size, f in ((16, 64, 27, 192), (16, 16, 14, 48)):
        assert chosen(n, c, size, f, same(5)) == F2_5
    for n, c, size, f in ((1, 16, 4, 16), (1, 256, 4, 256), (64, 64, 1, 64)):             # transforms would not repay
        assert chosen(n, c, size, f, same(3)) is chosen(n, c, size, f, same(5)) is None


@pytest.mark.parametrize("r", [3, 5])
def test_direct_convolution_computes_what_winograd_cannot(r):
    window = same(r)
    assert chosen(32, 64, 32, 64, window)
    assert not chosen(0, 64, 32, 64, window)                                              # an empty batch
    assert not chosen(128, 3, 32, 64, window)                                             # not whole vectors
    assert not chosen(32, 64, 32, 10, window)
    assert not chosen(32, 64, 32, 0, window)
    for other in (window._replace(stride=(2, 2)), window._replace(dilation=(2, 2)), Window((1, 1)), Window((r, 1)),
                  Window((8 - r, r)), Window((7, 7))):
        assert not chosen(32, 64, 32, 64, other)


def test_groups_of_whole_vectors():
    assert chosen(16, 96, 27, 256, same(5), groups=2) == F2_5
    assert chosen(16, 384, 13, 256, same(3), groups=2) == F4_3
    assert not chosen(32, 2 * LANES, 32, 4 * LANES, same(3), groups=4)                    # half vectors
    assert not chosen(32, 4 * LANES, 32, 2 * LANES, same(3), groups=4)


@pytest.mark.parametrize(("r", "scheme"), [(3, F4_3), (5, F2_5)])
def test_winograd_can_be_switched_off(r, scheme):
    x = np.random.default_rng(0).standard_normal((4, 64, 16, 16), dtype=np.float32)
    weight = np.random.default_rng(1).standard_normal((64, 64, r, r), dtype=np.float32)
    fast = cpu.conv2d(x, weight, None, same(r))
    with kernels.using(winograd=False):
        exact = cpu.conv2d(x, weight, None, same(r))
        assert kernels.backend(x) is cpu
    np.testing.assert_array_equal(exact, direct.conv2d(x, weight, None, same(r)))
    np.testing.assert_array_equal(fast, winograd.conv2d(x, weight, None, same(r), scheme))
    assert (fast != exact).any()
