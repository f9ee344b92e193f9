"""Every kernel of every backend against the naive loops of reference.py.

`plain.__all__` lists the functions that a backend has to define; a new backend is tested once its name is in BACKENDS.
"""

import importlib
import inspect
import math
import os

import emulator
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from through_strict_arrays import ThroughStrictArrays

from minidl.kernels import Window, plain
from minidl.kernels.geometry import Taps
from minidl.testing.strategies import convolutions, distinct_values, layouts, poolings, seeds, shapes

# Without its compiler, Numba would run loops as Python, and could not run LLVM instructions at all.
PLAIN = pytest.param("plain", marks=pytest.mark.tiny)
GPU = pytest.param("gpu", marks=[pytest.mark.skipif(emulator.missing() is not None, reason=str(emulator.missing())),
                                 pytest.mark.examples(0.4)])
BACKENDS = [PLAIN] if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1" else [PLAIN, "cpu", GPU]
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
sides = st.integers(1, 4)
image_shapes = st.tuples(sides, sides, sides, sides)


@pytest.fixture(scope="module", params=BACKENDS)
def kernels(request):
    package = importlib.import_module(f"minidl.kernels.{request.param}")
    return ThroughStrictArrays(package) if request.param == "gpu" else package


@pytest.fixture(scope="module", params=TOLERANCES)
def dtype(request):
    return request.param


def near(actual, expected, dtype):
    """Equal up to rounding, of the right dtype."""
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def laid_out(layout, dtype, *arrays):
    return [layout(a.astype(dtype)) for a in arrays]


def convolution_window(case):
    """The Window of a drawn convolution."""
    s, kernel = case.settings, case.weight[2:]
    pads = reference.pads(s["padding"], kernel, s["dilation"])
    return Window(kernel, reference.pair(s["stride"]), pads, reference.pair(s["dilation"]))


def pooling_window(case):
    """The Window of a drawn pooling."""
    kernel = reference.pair(case.settings["kernel_size"])
    stride = reference.pair(case.settings["stride"] or kernel)
    return Window(kernel, stride, reference.pads(case.settings["padding"], kernel, 1))


@given(case=convolutions(), layout=layouts, biased=st.booleans(), seed=seeds)
def test_conv2d(kernels, dtype, case, layout, biased, seed):
    x, weight, bias = distinct_values(case.x, case.weight, case.bias, seed=seed)
    ours = laid_out(layout, dtype, x, weight, bias)
    out = kernels.conv2d(*ours[:2], ours[2] if biased else None, convolution_window(case), case.settings["groups"])
    near(out, reference.conv2d(x, weight, bias if biased else None, **case.settings), dtype)


@given(case=convolutions(), layout=layouts, biased=st.booleans(), seed=seeds)
def test_conv2d_gradients(kernels, dtype, case, layout, biased, seed):
    window, groups = convolution_window(case), case.settings["groups"]
    out = (case.x[0], case.weight[0], *window.out(case.x[2:]))
    x, weight, grad, bias = distinct_values(case.x, case.weight, out, case.x[1:2], seed=seed)
    our_x, our_weight, our_grad, our_bias = laid_out(layout, dtype, x, weight, grad, bias)
    dx = kernels.conv2d_input_gradient(our_grad, our_weight, case.x, window, groups, our_bias if biased else None)
    expected = reference.conv2d_input_gradient(grad, weight, case.x, **case.settings)
    near(dx, expected + bias[:, None, None] if biased else expected, dtype)
    dweight = kernels.conv2d_weight_gradient(our_grad, our_x, window, groups)
    near(dweight, reference.conv2d_weight_gradient(grad, x, case.weight, **case.settings), dtype)


@given(case=convolutions(), seed=seeds)
def test_convolution_and_its_gradients_are_adjoint(kernels, case, seed):
    """<conv(x, w), y> = <x, conv_T(y, w)> = <w, dw(y, x)>: an identity that needs no oracle."""
    window, groups = convolution_window(case), case.settings["groups"]
    x, weight, y = distinct_values(case.x, case.weight, (case.x[0], case.weight[0], *window.out(case.x[2:])), seed=seed)
    forward = (kernels.conv2d(x, weight, None, window, groups) * y).sum()
    by_input = (x * kernels.conv2d_input_gradient(y, weight, case.x, window, groups)).sum()
    by_weight = (weight * kernels.conv2d_weight_gradient(y, x, window, groups)).sum()
    np.testing.assert_allclose([by_input, by_weight], forward, rtol=1e-10, atol=1e-12)


LARGER = [  # x, weight, settings: more channels, filters and pixels than any tile holds, and a few left over
    ((2, 37, 13, 19), (67, 37, 3, 3), {"padding": 1}),
    ((3, 64, 9, 7), (48, 64, 1, 1), {}),
    ((2, 5, 23, 17), (33, 5, 5, 7), {"stride": (2, 3), "padding": (2, 3)}),
    ((1, 40, 12, 11), (40, 1, 3, 3), {"padding": 1, "groups": 40}),
    ((2, 36, 10, 10), (24, 12, 3, 3), {"padding": 2, "dilation": 2, "groups": 3}),
    ((1, 18, 9, 8), (80, 9, 3, 3), {"padding": 1, "groups": 2}),
    ((2, 64, 7, 7), (96, 2, 3, 3), {"padding": 1, "groups": 32}),
    ((2, 37, 8, 15), (35, 37, 2, 3), {"stride": (2, 3)}),
    ((2, 36, 8, 9), (36, 9, 2, 3), {"stride": (2, 3), "groups": 4}),
    ((2, 40, 9, 8), (33, 40, 1, 1), {"stride": 2}),
]


@pytest.mark.parametrize(("x", "weight", "settings"), LARGER)
def test_larger_convolutions(kernels, dtype, x, weight, settings):
    full = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **settings}
    pads = reference.pads(full["padding"], weight[2:], full["dilation"])
    window = Window(weight[2:], reference.pair(full["stride"]), pads, reference.pair(full["dilation"]))
    out = (x[0], weight[0], *window.out(x[2:]))
    x, weight, bias, grad, start = (a * 4 for a in distinct_values(x, weight, weight[:1], out, x[1:2], seed=0))
    ours = [a.astype(dtype) for a in (x, weight, bias, grad, start)]
    groups = full["groups"]
    for actual, expected in [
        (kernels.conv2d(*ours[:3], window, groups), reference.conv2d(x, weight, bias, **full)),
        (kernels.conv2d_input_gradient(ours[3], ours[1], x.shape, window, groups, ours[4]),
         reference.conv2d_input_gradient(grad, weight, x.shape, **full) + start[:, None, None]),
        (kernels.conv2d_weight_gradient(ours[3], ours[0], window, groups),
         reference.conv2d_weight_gradient(grad, x, weight.shape, **full)),
    ]:
        size = float(abs(expected).max())             # rounding grows with the sums
        near(actual / size, expected / size, dtype)


@given(m=st.integers(1, 70), k=st.integers(1, 70), n=st.integers(1, 70), layout=layouts, seed=seeds)
def test_matmul(kernels, dtype, m, k, n, layout, seed):
    a, b = distinct_values((m, k), (k, n), seed=seed)
    near(kernels.matmul(*laid_out(layout, dtype, a, b)), (a[:, :, None] * b).sum(1), dtype)


@given(case=poolings(), layout=layouts, seed=seeds)
def test_max_pool2d(kernels, dtype, case, layout, seed):
    x, = distinct_values(case.x, seed=seed, dtype=dtype)
    expected, expected_winner = reference.max_pool2d(x, **case.settings)
    out, winner = kernels.max_pool2d(layout(x), pooling_window(case))
    near(out, expected, dtype)
    assert winner.dtype == np.uint8
    np.testing.assert_array_equal(winner, expected_winner)


@given(case=poolings(), layout=layouts, seed=seeds)
def test_max_pool2d_of_ties_and_nan(kernels, dtype, case, layout, seed):
    """The first of equal elements wins, and NaN exceeds every number."""
    x = np.random.default_rng(seed).choice([-1, 0, 1, np.nan], size=case.x, p=[0.4, 0.3, 0.2, 0.1]).astype(dtype)
    expected, expected_winner = reference.max_pool2d(x, **case.settings)
    out, winner = kernels.max_pool2d(layout(x), pooling_window(case))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(winner, expected_winner)


@given(case=poolings(), layout=layouts, seed=seeds)
def test_max_pool2d_with_relu(kernels, dtype, case, layout, seed):
    """Elements that are not above 0 become 0 and have no winner; NaN stays NaN."""
    x = np.random.default_rng(seed).choice([-1, 0, 1, np.nan], size=case.x, p=[0.6, 0.2, 0.1, 0.1]).astype(dtype)
    expected, expected_winner = reference.max_pool2d(x, **case.settings)
    out, winner = kernels.max_pool2d(layout(x), pooling_window(case), relu=True)
    np.testing.assert_array_equal(out, np.maximum(expected, 0))
    np.testing.assert_array_equal(winner, np.where(expected <= 0, 255, expected_winner))
    dx = kernels.max_pool2d_gradient(np.where(winner == 255, np.nan, 1).astype(dtype), winner, case.x,
                                     pooling_window(case))
    assert dx.sum() == (winner < 255).sum()


@given(case=poolings(), layout=layouts, seed=seeds)
def test_max_pool2d_gradient(kernels, dtype, case, layout, seed):
    window = pooling_window(case)
    x, grad = distinct_values(case.x, (*case.x[:2], *window.out(case.x[2:])), seed=seed, dtype=dtype)
    _, winner = reference.max_pool2d(x, **case.settings)
    dx = kernels.max_pool2d_gradient(layout(grad), layout(winner.astype(np.uint8)), case.x, window)
    near(dx, reference.max_pool2d_gradient(grad, winner, case.x, **case.settings), dtype)


def test_max_pool2d_of_a_window_of_more_than_256_taps(kernels):
    x, = distinct_values((1, 2, 20, 20), seed=0)
    out, winner = kernels.max_pool2d(x, Window((20, 20)))
    assert winner.dtype == np.uint16
    np.testing.assert_array_equal(winner[0, :, 0, 0], x.reshape(2, -1).argmax(1))
    dx = kernels.max_pool2d_gradient(np.ones_like(out), winner, x.shape, Window((20, 20)))
    np.testing.assert_array_equal(dx, x == out)
    out, winner = kernels.max_pool2d(x - x.max() - 1, Window((20, 20)), relu=True)
    assert (winner == 65535).all()
    assert not out.any()
    assert not kernels.max_pool2d_gradient(np.ones_like(out), winner, x.shape, Window((20, 20))).any()


@given(case=poolings(), layout=layouts, seed=seeds)
def test_avg_pool2d(kernels, dtype, case, layout, seed):
    window = pooling_window(case)
    x, grad = distinct_values(case.x, (*case.x[:2], *window.out(case.x[2:])), seed=seed)
    our_x, our_grad = laid_out(layout, dtype, x, grad)
    share = 1 / math.prod(window.kernel)
    near(kernels.avg_pool2d(our_x, window, share), reference.avg_pool2d(x, **case.settings), dtype)
    dx = kernels.avg_pool2d_gradient(our_grad, case.x, window, share)
    near(dx, reference.avg_pool2d_gradient(grad, case.x, **case.settings), dtype)


@given(shape=shapes(), layouts=st.tuples(layouts, layouts), seed=seeds)
def test_relu(kernels, dtype, shape, layouts, seed):
    """The gradient may have another memory layout than the output."""
    x, grad = distinct_values(shape, shape, seed=seed, dtype=dtype)
    expected = np.vectorize(lambda v: max(v, 0), otypes=[dtype])(x)
    out = kernels.relu(layouts[0](x))
    near(out, expected, dtype)
    dx = kernels.relu_gradient(layouts[1](grad), out)
    near(dx, np.vectorize(lambda g, v: g if v > 0 else 0, otypes=[dtype])(grad, x), dtype)


@given(shape=shapes(), layouts=st.tuples(layouts, layouts), seed=seeds)
def test_relu_with_a_ceiling(kernels, dtype, shape, layouts, seed):
    x, grad = distinct_values(shape, shape, seed=seed, dtype=dtype)
    out = kernels.relu(layouts[0](x), 0.4)
    near(out, np.vectorize(lambda v: min(max(v, 0), 0.4), otypes=[dtype])(x), dtype)
    dx = kernels.relu_gradient(layouts[1](grad), out, 0.4)
    near(dx, np.vectorize(lambda g, v: g if 0 < v < 0.4 else 0, otypes=[dtype])(grad, x), dtype)


def test_relu_lets_nan_through(kernels, dtype):
    x = np.array([np.nan, -1, 0, 1, np.inf], dtype)
    np.testing.assert_array_equal(kernels.relu(x), np.array([np.nan, 0, 0, 1, np.inf], dtype))
    np.testing.assert_array_equal(kernels.relu(x, 6), np.array([np.nan, 0, 0, 1, 6], dtype))


@st.composite
def resamplings(draw):
    """The shape of images, and Taps for both axes: random pairs of pixels, a third of them with weight 0."""
    shape, rng = draw(image_shapes), np.random.default_rng(draw(seeds))

    def taps(n):
        size = draw(sides), draw(st.integers(1, 3))                  # outputs, taps
        return Taps(rng.integers(n, size=size), rng.standard_normal(size) * (rng.random(size) < 2 / 3))
    return shape, taps(shape[2]), taps(shape[3])


@given(case=resamplings(), layout=layouts, seed=seeds)
def test_resample(kernels, dtype, case, layout, seed):
    shape, rows, columns = case
    x, = distinct_values(shape, seed=seed)
    near(kernels.resample(layout(x.astype(dtype)), rows, columns), reference.resample(x, rows, columns), dtype)


@given(case=resamplings(), seed=seeds)
def test_resample_by_transposed_taps_is_its_transpose(kernels, case, seed):
    shape, rows, columns = case
    x, = distinct_values(shape, seed=seed)
    out = kernels.resample(x, rows, columns)
    y, = distinct_values(out.shape, seed=seed + 1)
    back = kernels.resample(y, rows.transposed(shape[2]), columns.transposed(shape[3]))
    np.testing.assert_allclose((x * back).sum(), (out * y).sum(), rtol=1e-10, atol=1e-12)


def test_resample_skips_taps_without_weight(kernels, dtype):
    """Even those of NaN: a pixel that no output reads must not get NaN from the gradients of others."""
    x = np.array([np.nan, 2, np.inf], dtype).reshape(1, 1, 3, 1)
    some = Taps(np.array([[0, 1], [1, 2], [0, 2]]), np.array([[0, 1.0], [1, 0], [0, 0]]))
    identity = Taps(np.zeros((1, 1), int), np.ones((1, 1)))
    np.testing.assert_array_equal(kernels.resample(x, some, identity).ravel(), [2, 2, 0])
    np.testing.assert_array_equal(kernels.resample(x.reshape(1, 1, 1, 3), identity, some).ravel(), [2, 2, 0])


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 30, 20, 33), (3, 7000)])
@given(layout=layouts, of_mask=layouts, seed=seeds)
def test_select(kernels, dtype, shape, layout, of_mask, seed):
    rng = np.random.default_rng(seed)
    x = rng.choice([np.nan, np.inf, -1, 2], size=shape).astype(dtype)
    mask = rng.random(shape) < 0.5
    out = kernels.select(of_mask(mask), layout(x), 3.0)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, np.where(mask, x, 0) * 3)
    np.testing.assert_array_equal(kernels.select(mask[:, :1], x, 0.5), np.where(mask[:, :1], x, 0) * 0.5)


@given(shape=image_shapes, layout=layouts, seed=seeds)
def test_moments_and_sums(kernels, dtype, shape, layout, seed):
    x, = distinct_values(shape, seed=seed)
    mean, var = kernels.channel_moments(layout(x.astype(dtype)))
    near(mean, [np.mean(x[:, c]) for c in range(shape[1])], dtype)
    near(var, [np.mean((x[:, c] - np.mean(x[:, c])) ** 2) for c in range(shape[1])], dtype)
    sums = kernels.axis_sums(layout(x.astype(dtype)), (0, 2, 3))
    near(sums.astype(dtype), x.sum((0, 2, 3), keepdims=True), dtype)


def test_nan_stays_in_its_channel(kernels, dtype):
    x = np.ones((2, 3, 4, 4), dtype)
    x[1, 1, 2, 2] = np.nan
    for moment in kernels.channel_moments(x):
        assert np.isnan(moment).tolist() == [False, True, False]


relus = st.sampled_from([(False, None), (True, None), (True, 0.4)])      # of batch norm: relu and ceiling


@given(shape=image_shapes, adds=st.booleans(), relu=relus, layout=layouts, seed=seeds)
def test_batch_norm(kernels, dtype, shape, adds, relu, layout, seed):
    c = shape[1:2]
    x, add, weight, bias, mean, var = distinct_values(shape, shape, c, c, c, c, seed=seed)
    ours = laid_out(layout, dtype, x, weight, bias, add, mean, var + 1.5)
    ours[3] = ours[3] if adds else None
    expected = reference.batch_norm(x, weight, bias, mean, var + 1.5, 1e-3) + (add if adds else 0)
    expected = np.clip(expected, 0, relu[1]) if relu[0] else expected
    near(kernels.batch_norm(*ours, 1e-3, *relu)[0], expected, dtype)


def test_rectified_norms_let_nan_through(kernels, dtype):
    x, one = np.array([[[[np.nan, -1, 1, np.inf]]]], dtype), np.ones(1, dtype)
    for ceiling, top in ((None, np.inf), (2, 2)):
        out, _ = kernels.batch_norm(x, one, one * 0, None, one * 0, one, 0.0, True, ceiling)
        np.testing.assert_array_equal(out, np.array([[[[np.nan, 0, 1, top]]]], dtype))


def passed_by(kernels, out, relu, ceiling):
    """The `passed` of a batch_norm whose output before ReLU is `out`: that of zeros, to which `out` is added."""
    one = np.ones(out.shape[1], out.dtype)
    return kernels.batch_norm(np.zeros_like(out), one, one * 0, out, one * 0, one, 0.0, relu, ceiling)[1]


def test_rectified_norms_pass_gradients_strictly_between_0_and_the_ceiling(kernels, dtype):
    """Without a ceiling there is no upper end, not even infinity."""
    one, ceiling = np.ones(1, dtype), np.array(0.1, dtype)
    out = np.array([[[[np.nan, 0, 1e-30, np.nextafter(ceiling, np.zeros_like(ceiling)), ceiling, np.inf]]]], dtype)
    settings = (np.zeros_like(out), one, one * 0, one, 0.0, False, True)
    for c, expected in ((None, [0, 0, 1, 1, 1, 1]), (0.1, [0, 0, 1, 1, 0, 0])):
        for gradient in (0, 3):                          # by x and by add
            passed = passed_by(kernels, out, True, c)
            passed = kernels.batch_norm_gradient(np.ones_like(out), passed, *settings)[gradient]
            np.testing.assert_array_equal(passed.ravel(), expected)
        x = out[..., 1:-1]                               # without add, the normalized x decides
        _, passed = kernels.batch_norm(x, one, one * 0, None, one * 0, one, 0.0, True, c)
        passed = kernels.batch_norm_gradient(np.ones_like(x), passed, x, one, one * 0, one, 0.0, False, False)[0]
        np.testing.assert_array_equal(passed.ravel(), expected[1:-1])


@pytest.mark.parametrize("training", [True, False])
@given(shape=image_shapes, relu=relus, layout=layouts, seed=seeds)
def test_batch_norm_gradient(kernels, training, shape, relu, layout, seed):
    """Against a central difference of the naive forward; in training, mean and variance depend on x."""
    c, eps = shape[1:2], 0.1                          # a channel of one element then has a finite slope
    x, grad, out, weight, bias, mean, var = distinct_values(shape, shape, shape, c, c, c, c, seed=seed)
    mean, var = plain.channel_moments(x) if training else (mean, var + 1.5)
    ours = laid_out(layout, "float64", grad, out, x, weight, mean, var)
    relu, ceiling = relu
    ours[1] = passed_by(kernels, ours[1], relu, ceiling)
    *gradients, dadd = kernels.batch_norm_gradient(*ours, eps, training, True)
    passed = np.where(relu & ((out < 0) | (out > (ceiling or np.inf))), 0, grad)
    inputs = [x, weight, bias]

    def slope(i, direction, step=1e-6):
        moments = (None, None) if training else (mean, var)
        ends = [reference.batch_norm(*(a + t * direction if j == i else a for j, a in enumerate(inputs)), *moments, eps)
                for t in (step, -step)]
        return ((ends[0] - ends[1]) * passed).sum() / (2 * step)

    for i, (gradient, a) in enumerate(zip(gradients, inputs, strict=True)):
        assert gradient.shape == a.shape
        direction = np.random.default_rng(seed).standard_normal(a.shape)
        np.testing.assert_allclose((gradient * direction).sum(), slope(i, direction), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(dadd, passed)
    assert kernels.batch_norm_gradient(*ours, eps, training, False)[3] is None


@given(shape=image_shapes, training=st.booleans(), relu=relus, layout=layouts, seed=seeds)
def test_batch_norm_gradient_in_float32(kernels, shape, training, relu, layout, seed):
    c = shape[1:2]
    grad, out, x, weight, mean, var = distinct_values(shape, shape, shape, c, c, c, seed=seed)
    mean, var = plain.channel_moments(x) if training else (mean, var + 1.5)
    ours, theirs = laid_out(layout, "float32", grad, out, x, weight, mean, var), [grad, out, x, weight, mean, var]
    ours[1], theirs[1] = passed_by(kernels, ours[1], *relu), passed_by(plain, theirs[1], *relu)
    for actual, expected in zip(kernels.batch_norm_gradient(*ours, 0.1, training, True),
                                plain.batch_norm_gradient(*theirs, 0.1, training, True), strict=True):
        near(actual, expected, "float32")


@given(shape=image_shapes, axes=st.integers(1, 4), layout=layouts, seed=seeds)
def test_layer_norm(kernels, dtype, shape, axes, layout, seed):
    """Forward against naive loops; backward against the plain kernels in float64, which finite differences check."""
    last = shape[-axes:]
    x, grad, weight, bias = distinct_values(shape, shape, last, last, seed=seed)
    expected, mean, deviation = plain.layer_norm(x, weight, bias, 0.1)
    for example in np.ndindex(shape[:-axes]):
        near(expected[example], reference.standardized(x[example], 0.1) * weight + bias, "float64")
    x_here, grad_here, weight_here, bias_here = laid_out(layout, dtype, x, grad, weight, bias)
    out, *moments = kernels.layer_norm(x_here, weight_here, bias_here, 0.1)
    near(out, expected, dtype)
    for ours, theirs in zip(moments, (mean, deviation), strict=True):
        near(ours.astype(dtype), theirs, dtype)
    for ours, theirs in zip(kernels.layer_norm_gradient(grad_here, x_here, weight_here, *moments),
                            plain.layer_norm_gradient(grad, x, weight, mean, deviation), strict=True):
        near(ours, theirs, dtype)


@given(shape=image_shapes, groups=st.integers(1, 3), layout=layouts, seed=seeds)
def test_group_norm(kernels, dtype, shape, groups, layout, seed):
    """As layer norm above."""
    n, size, h, w = shape
    c = groups * size
    x, grad, weight, bias = distinct_values((n, c, h, w), (n, c, h, w), (c,), (c,), seed=seed)
    expected, mean, deviation = plain.group_norm(x, groups, weight, bias, 0.1)
    for i, g in np.ndindex(n, groups):
        some = slice(g * size, (g + 1) * size)
        near(expected[i, some], reference.standardized(x[i, some], 0.1) * weight[some, None, None]
             + bias[some, None, None], "float64")
    x_here, grad_here, weight_here, bias_here = laid_out(layout, dtype, x, grad, weight, bias)
    out, *moments = kernels.group_norm(x_here, groups, weight_here, bias_here, 0.1)
    near(out, expected, dtype)
    for ours, theirs in zip(moments, (mean, deviation), strict=True):
        near(ours.astype(dtype), theirs, dtype)
    for ours, theirs in zip(kernels.group_norm_gradient(grad_here, x_here, weight_here, *moments),
                            plain.group_norm_gradient(grad, x, weight, mean, deviation), strict=True):
        near(ours, theirs, dtype)


responses = st.tuples(st.integers(1, 7), st.floats(0, 5), st.sampled_from([0.5, 0.75, 1.0]), st.floats(0.5, 3))


@given(shape=image_shapes, settings=responses, layout=layouts, seed=seeds)
def test_local_response_norm(kernels, dtype, shape, settings, layout, seed):
    x, = distinct_values(shape, seed=seed)
    out = kernels.local_response_norm(*laid_out(layout, dtype, x), *settings)
    near(out, reference.local_response_norm(x, *settings), dtype)


@given(shape=image_shapes, settings=responses, layout=layouts, seed=seeds)
def test_local_response_norm_gradient(kernels, dtype, shape, settings, layout, seed):
    """Against a central difference of the naive forward."""
    x, grad = distinct_values(shape, shape, seed=seed)
    dx = kernels.local_response_norm_gradient(*laid_out(layout, dtype, grad, x), *settings)
    assert dx.dtype == dtype
    direction, step = np.random.default_rng(seed).standard_normal(shape), 1e-6
    ends = [reference.local_response_norm(x + t * direction, *settings) for t in (step, -step)]
    slope = ((ends[0] - ends[1]) * grad).sum() / (2 * step)
    np.testing.assert_allclose((dx * direction).sum(), slope, rtol=1e-5, atol=1e-3 if dtype == "float32" else 1e-7)


def test_local_response_norm_of_more_pixels_than_one_work_unit(kernels, dtype):
    x, grad = distinct_values((3, 37, 5, 6), (3, 37, 5, 6), seed=0)
    ours = [a.astype(dtype) for a in (grad, x)]
    settings = (5, 5.0, 0.75, 2.0)
    near(kernels.local_response_norm(ours[1], *settings), reference.local_response_norm(x, *settings), dtype)
    near(kernels.local_response_norm_gradient(*ours, *settings),
         plain.local_response_norm_gradient(grad, x, *settings), dtype)


def test_empty_batches(kernels, dtype):
    window, empty = Window((2, 2)), np.ones((0, 3, 4, 4), dtype)
    weight, grad = np.ones((5, 3, 2, 2), dtype), np.ones((0, 5, 3, 3), dtype)
    assert kernels.conv2d(empty, weight, None, window).shape == (0, 5, 3, 3)
    assert kernels.conv2d_input_gradient(grad, weight, empty.shape, window).shape == empty.shape
    assert not kernels.conv2d_weight_gradient(grad, empty, window).any()
    out, winner = kernels.max_pool2d(empty, window)
    assert out.shape == winner.shape == (0, 3, 3, 3)
    assert kernels.max_pool2d_gradient(out, winner, empty.shape, window).shape == empty.shape
    assert kernels.avg_pool2d(empty, window, 0.25).shape == (0, 3, 3, 3)
    assert kernels.avg_pool2d_gradient(out, empty.shape, window, 0.25).shape == empty.shape
    assert kernels.relu_gradient(kernels.relu(empty), empty).shape == empty.shape
    one = Taps(np.zeros((1, 1), int), np.ones((1, 1)))
    assert kernels.resample(empty, one, one).shape == (0, 3, 1, 1)
    assert kernels.axis_sums(empty, (0, 2, 3)).ravel().tolist() == [0, 0, 0]
    assert kernels.local_response_norm(empty, 5, 1.0, 0.75, 1.0).shape == empty.shape
    assert kernels.local_response_norm_gradient(empty, empty, 5, 1.0, 0.75, 1.0).shape == empty.shape
    assert kernels.matmul(empty.reshape(0, 48), np.ones((48, 2), dtype)).shape == (0, 2)


@given(case=convolutions(), seed=seeds)
def test_no_kernel_writes_to_its_inputs(kernels, case, seed):
    window, groups = convolution_window(case), case.settings["groups"]
    x, weight, bias, grad = distinct_values(
        case.x, case.weight, case.bias, (case.x[0], case.weight[0], *window.out(case.x[2:])), seed=seed)
    vector = bias[:1].repeat(case.x[1])
    arrays = (x, weight, bias, grad, vector)
    copies = [a.copy() for a in arrays]
    kernels.conv2d(x, weight, bias, window, groups)
    kernels.conv2d_input_gradient(grad, weight, x.shape, window, groups)
    kernels.conv2d_weight_gradient(grad, x, window, groups)
    kernels.relu_gradient(x, kernels.relu(x))
    kernels.batch_norm_gradient(x, passed_by(kernels, x, True, None), x, vector, *kernels.channel_moments(x), 1e-3,
                                True, True)
    for out in (kernels.layer_norm(x, vector[:1].repeat(x.shape[-1]), vector[:1].repeat(x.shape[-1]), 1e-3),
                kernels.group_norm(x, 1, vector, vector, 1e-3)):
        assert not np.shares_memory(out[0], x)
    kernels.layer_norm_gradient(x, x, np.ones(x.shape[1:]), np.zeros(len(x)), np.ones(len(x)))
    kernels.group_norm_gradient(x, x, vector, np.zeros((len(x), 1)), np.ones((len(x), 1)))
    kernels.local_response_norm_gradient(x, kernels.local_response_norm(x, 3, 1.0, 0.75, 1.0), 3, 1.0, 0.75, 1.0)
    kernels.batch_norm(x, vector, vector, x, *kernels.channel_moments(x), 1e-3, True)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_all_backends_define_the_same_functions(kernels):
    """By name, by signature, and by docstring, to which a backend may add how it computes the result."""
    assert sorted(kernels.__all__) == sorted(plain.__all__)
    for name in plain.__all__:
        ours, theirs = getattr(plain, name), getattr(kernels, name)
        assert inspect.signature(ours) == inspect.signature(theirs), name
        assert inspect.getdoc(theirs).startswith(inspect.getdoc(ours)), name
