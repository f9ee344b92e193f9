"""Sums and norms on the GPU: shapes, dtypes, memory orders, precision, and the same bits each time."""

import emulator
import numpy as np
import pytest
import strict_array as xp
from agreement import agree, draw, dtypes, kernels
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import Window, gpu, plain
from minidl.testing.strategies import layouts, reductions, seeds

sides = st.integers(1, 5)
images = st.tuples(sides, st.sampled_from([1, 3, 4, 8, 16, 33]), sides, sides)
ceilings = st.sampled_from([(False, None), (True, None), (True, 1.0)])


@given(case=reductions(), dtype=dtypes, layout=layouts, special=st.booleans(), seed=seeds)
def test_sums_over_any_axes(case, dtype, layout, special, seed):
    x, = draw(seed, dtype, case.shape, special=special)
    axis = case.settings["axis"]
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    agree("axis_sums", layout(x), tuple(a % x.ndim for a in axes), exact=(1,))


@pytest.mark.parametrize(("shape", "axes"), [
    ((70_000,), (0,)), ((3, 20_000), (1,)), ((9000, 10), (0,)), ((40, 5, 700), (0, 2)), ((2, 600, 40), (1,)),
    ((0, 4), (0,)), ((4, 0), (0,)), ((2000, 3), (1,)), ((30, 100, 2), (1,))])
def test_large_sums(shape, axes):
    """Over several blocks, whose sums are added in a fixed order."""
    x, = draw(0, "float32", shape)
    agree("axis_sums", x, axes, factor=10, exact=(1,))


def test_sums_do_not_lose_digits():
    assert kernels.axis_sums(np.ones(3_000_000, np.float32) * np.float32(16777.5), (0,)) == np.float32(16777.5 * 3e6)


@given(shape=images, dtype=dtypes, layout=layouts, special=st.booleans(), seed=seeds)
def test_moments_of_channels(shape, dtype, layout, special, seed):
    x, = draw(seed, dtype, shape, special=special)
    agree("channel_moments", layout(x + x.dtype.type(2)), factor=2)


@pytest.mark.parametrize("c", [1, 6, 70])
@pytest.mark.parametrize("far", [0.0, 1e5, -3e6])
def test_moments_far_from_zero(c, far):
    """Over several blocks; also if the first element, from which distances are counted, is far from the others."""
    x, = draw(0, "float32", (5, c, 30, 31))
    x += np.float32(1e4)
    x[0, 0, 0, 0] += np.float32(far)
    with emulator.twice():
        mean, var = kernels.channel_moments(x)
    expected = plain.channel_moments(x.astype(np.float64))
    np.testing.assert_allclose(mean, expected[0], rtol=1e-5)
    np.testing.assert_allclose(var, expected[1], rtol=1e-4)


@given(shape=images, dtype=dtypes, layout=layouts, other=layouts, relu=ceilings, adds=st.booleans(),
       training=st.booleans(), seed=seeds)
def test_batch_norm(shape, dtype, layout, other, relu, adds, training, seed):
    c = shape[1]
    x, add, grad, *numbers = draw(seed, dtype, shape, shape, shape, (c,), (c,), (c,), (c,))
    weight, bias, mean, var = numbers
    var = np.abs(var) + var.dtype.type(0.5)
    x, add, grad = layout(x), other(add) if adds else None, other(grad)
    out, _ = agree_in_the_first("batch_norm", x, weight, bias, add, mean, var, 1e-5, *relu)
    with emulator.twice():
        ours = through_both(x, weight, bias, add, mean, var, relu, grad, training)
    gate = (out > 0) & (out < (np.inf if relu[1] is None else relu[1])) if relu[0] else None
    theirs = plain.batch_norm_gradient(*(v if v is None or v.dtype == bool else v.astype(float) for v in (
        grad, gate, x, weight, mean, var)), 1e-5, training, adds)
    tolerance = {"float16": 3e-2, "float32": 1e-4, "float64": 1e-11}[dtype]
    for one, expected in zip(ours, theirs, strict=True):
        assert (one is None) == (expected is None)
        if one is not None:
            np.testing.assert_allclose(one.astype(float), expected, rtol=tolerance, atol=tolerance)


def agree_in_the_first(name, *inputs):
    """`agree`, if the other results of the kernel are its own."""
    ours = getattr(kernels, name)(*inputs)
    wide = [v.astype(np.float64) if isinstance(v, np.ndarray) else v for v in inputs]
    tolerance = {"float16": 2e-2, "float32": 5e-5, "float64": 1e-11}[inputs[0].dtype.name]
    np.testing.assert_allclose(ours[0].astype(float), getattr(plain, name)(*wide)[0], rtol=tolerance, atol=tolerance)
    return ours


def through_both(x, weight, bias, add, mean, var, relu, grad, training):
    """The gradients of batch norm, from what its forward pass says of the ReLU."""
    there = [None if v is None else xp.asarray(v) for v in (x, weight, bias, add, mean, var, grad)]
    _, passed = gpu.batch_norm(*there[:6], 1e-5, *relu)
    x, weight, _, _, mean, var, grad = there
    found = gpu.batch_norm_gradient(grad, passed, x, weight, mean, var, 1e-5, training, add is not None)
    return [None if v is None else v.get() for v in found]


def test_batch_norm_lets_infinity_pass_and_nan_not():
    x = np.array([np.inf, 1, -np.inf, np.nan, 2, 3], np.float32).reshape(6, 1, 1, 1)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    dx, *_ = through_both(x, one, zero, None, zero, one, (True, None), np.ones_like(x), False)
    np.testing.assert_allclose(dx.ravel(), [1, 1, 0, 0, 1, 1], rtol=1e-5)


@given(c=st.integers(1, 300), momentum=st.sampled_from([0.1, None]), batches=st.integers(0, 9), seed=seeds,
       in_place=st.booleans())
def test_running_statistics(c, momentum, batches, seed, in_place):
    running, running_var, mean, var = draw(seed, "float32", *[(c,)] * 4)
    inputs = running, running_var, np.array(batches), mean, var, momentum, 7
    ours, theirs = kernels.move_moments(*inputs), plain.move_moments(*inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    assert inputs[2] == batches
    if in_place:
        kernels.move_moments(*inputs, True)
        np.testing.assert_array_equal(inputs[0], ours[0])
        np.testing.assert_array_equal(inputs[1], ours[1])
        assert inputs[2] == batches + 1


@given(shape=st.lists(sides, min_size=2, max_size=4), axes=st.integers(1, 3), dtype=dtypes, layout=layouts,
       other=layouts, seed=seeds)
def test_layer_norm(shape, axes, dtype, layout, other, seed):
    shape = tuple(shape)
    inner = shape[max(1, len(shape) - axes):]
    x, grad, weight, bias = draw(seed, dtype, shape, shape, inner, inner)
    x, weight = layout(x + x.dtype.type(1)), other(weight)
    _, mean, deviation = agree("layer_norm", x, weight, bias, 0.1, factor=4)
    agree("layer_norm_gradient", other(grad), x, weight, mean, deviation, factor=20)


@pytest.mark.parametrize("shape", [(3, 5000), (40, 257), (70, 64), (0, 9)])
def test_layer_norm_of_long_rows(shape):
    x, grad, weight, bias = draw(0, "float32", shape, shape, shape[1:], shape[1:])
    _, mean, deviation = agree("layer_norm", x, weight, bias, 1e-5, factor=4)
    agree("layer_norm_gradient", grad, x, weight, mean, deviation, factor=20)


@given(shape=st.tuples(st.integers(0, 3), st.sampled_from([4, 12]), sides, sides), groups=st.sampled_from([1, 2, 4]),
       dtype=dtypes, layout=layouts, seed=seeds)
def test_group_norm(shape, groups, dtype, layout, seed):
    x, grad, weight, bias = draw(seed, dtype, shape, shape, shape[1:2], shape[1:2])
    x = layout(x)
    _, mean, deviation = agree("group_norm", x, groups, weight, bias, 0.1, factor=4)
    agree("group_norm_gradient", layout(grad), x, weight, mean, deviation, factor=20)


@given(shape=images, size=st.integers(1, 6), dtype=dtypes, layout=layouts, seed=seeds)
def test_response_norm(shape, size, dtype, layout, seed):
    x, grad = draw(seed, dtype, shape, shape)
    agree("local_response_norm", layout(x), size, 1.0, 0.75, 2.0)
    agree("local_response_norm_gradient", grad, layout(x), size, 1.0, 0.75, 2.0, factor=4)


def test_bfloat16():
    """Is stored in 16 bits and computed in float32, as float16 is."""
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes, which comes with onnx")
    x, grad, weight, bias, mean = draw(0, "float32", (4, 8, 5, 3), (4, 8, 5, 3), (8,), (8,), (8,))
    x, grad = x.astype("bfloat16"), grad.astype("bfloat16")
    calls = {
        "relu": (x,), "activation": ("gelu", x), "add": (x, grad), "select": (x > 0, x, 2.0),
        "axis_sums": (x, (0, 2, 3)),
        "channel_moments": (x,), "batch_norm": (x, weight, bias, grad, mean, np.abs(mean), 0.1, True),
        "max_pool2d": (x, Window((2, 2))), "avg_pool2d": (x, Window((2, 2)), 0.25), "softmax": (x, 1),
        "group_norm": (x, 2, weight, bias, 0.1), "layer_norm": (x[:, :, 0, 0], weight, bias, 0.1),
    }
    for name, inputs in calls.items():
        ours = getattr(kernels, name)(*inputs)
        theirs = getattr(plain, name)(*(v.astype(np.float64) if isinstance(v, np.ndarray) and v.dtype != bool else v
                                        for v in inputs))
        ours, theirs = (v if isinstance(v, tuple) else (v,) for v in (ours, theirs))
        assert ours[0].dtype.name == ("float32" if name in ("axis_sums", "channel_moments") else "bfloat16")
        np.testing.assert_allclose(ours[0].astype(np.float64), theirs[0], rtol=2e-2, atol=2e-2)
