"""Depthwise convolution against plain grouped convolution, and against naive loops."""

import itertools
import os

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import Window, plain
from minidl.testing.strategies import convolutions, distinct_values, layouts, seeds

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu.convolution import depthwise
from minidl.kernels.cpu.convolution.depthwise_schedule import row_segments, tap_schedule
from minidl.kernels.cpu.convolution.tap_tables import Axis, taps_per_input, taps_per_output
from minidl.kernels.cpu.llvm.depthwise_microkernel import PIXEL_SHAPES, TAP_SHAPES, TileShape

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
channels, multipliers = st.sampled_from([1, 3, 8, 16, 21, 70]), st.integers(1, 3)      # whole vectors, and remainders


def near(actual, expected, dtype):
    """Equal up to rounding, of the right dtype."""
    assert actual.dtype == dtype
    size = max(1, float(abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual / size, expected / size, rtol=0, atol=TOLERANCES[dtype])


def window_of(kernel, settings):
    """The Window with these settings."""
    pads = reference.pads(settings["padding"], kernel, settings["dilation"])
    return Window(kernel, reference.pair(settings["stride"]), pads, reference.pair(settings["dilation"]))


@pytest.mark.parametrize("dtype", TOLERANCES)
@given(case=convolutions(grouped=False), c=channels, m=multipliers, layout=layouts, biased=st.booleans(), seed=seeds)
def test_against_naive_loops(dtype, case, c, m, layout, biased, seed):
    kernel, settings = case.weight[2:], {**case.settings, "groups": c}
    window, shape = window_of(kernel, settings), (case.x[0], c, *case.x[2:])
    arrays = distinct_values(shape, (c * m, 1, *kernel), (c * m,), (shape[0], c * m, *window.out(shape[2:])), seed=seed)
    x, weight, bias, grad = arrays
    ours = [layout(a.astype(dtype)) for a in arrays]
    copies = [a.copy() for a in ours]
    out = depthwise.conv2d(*ours[:2], ours[2] if biased else None, window)
    near(out, reference.conv2d(x, weight, bias if biased else None, **settings), dtype)
    near(depthwise.conv2d_input_gradient(ours[3], ours[1], shape, window),
         reference.conv2d_input_gradient(grad, weight, shape, **settings), dtype)
    near(depthwise.conv2d_weight_gradient(ours[3], ours[0], window),
         reference.conv2d_weight_gradient(grad, x, weight.shape, **settings), dtype)
    for array, copy in zip(ours, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize(("kernel", "pads"), [((3, 3), (1, 1)), ((3, 3), (0, 0)), ((3, 3), (0, 1)), ((5, 3), (1, 1)),
                                              ((2, 3), (2, 0)), ((7, 7), (3, 3))])
@pytest.mark.parametrize("width", [7, 8, 16, 19, 31, 34])
def test_rows_of_all_lengths(dtype, stride, kernel, pads, width):
    """Every tile shape, with a remainder of channels, against the plain kernels."""
    window = Window(kernel, stride, (pads, pads))
    shape = (2, 35, 9, width)
    x, weight, bias, grad = (4 * a for a in distinct_values(
        shape, (35, 1, *kernel), (35,), (2, 35, *window.out(shape[2:])), seed=width))
    ours = [a.astype(dtype) for a in (x, weight, bias, grad)]
    for relu in (False, True):
        near(depthwise.conv2d(*ours[:3], window, relu), plain.conv2d(x, weight, bias, window, 35, relu), dtype)
    near(depthwise.conv2d_input_gradient(ours[3], ours[1], shape, window),
         plain.conv2d_input_gradient(grad, weight, shape, window, 35), dtype)
    near(depthwise.conv2d_weight_gradient(ours[3], ours[0], window),
         plain.conv2d_weight_gradient(grad, x, window, 35), dtype)


def test_row_segments_have_the_widest_shapes():
    """Width 16, 3x3, padding 1: two segments of eight pixels, each with a neighbour cut off at its end of the row."""
    axis = Axis(16, 3, 1, 1, (1, 1), 16)
    for taps_of in (taps_per_output, taps_per_input):
        shapes = [PIXEL_SHAPES[i] for i in row_segments(taps_of, axis, 1, 1, 1)["tile_shape"]]
        assert shapes == [TileShape(1, 8, 3, cut=(1, 0)), TileShape(1, 8, 3, cut=(0, 1))]


def test_the_schedule_has_every_pair_of_tap_and_output_once():
    for axis in [(5, 3, 1, 1, (1, 1), 5), (2, 3, 1, 1, (1, 1), 2), (9, 7, 2, 2, (3, 4), 2), (1, 5, 3, 1, (4, 9), 4),
                 (17, 3, 2, 1, (1, 0), 8), (6, 5, 1, 1, (3, 1), 6)]:
        size, kernel, stride, dilation, pads, outputs = axis
        pairs = []
        for index, ky, kx, ox, source, rounds, step in tap_schedule(4, Axis(*axis)).tolist():
            shape = TAP_SHAPES[index]
            assert step == shape.taps
            for i, tap, output in itertools.product(range(rounds), range(shape.places), range(shape.taps)):
                neighbour = tap + output * shape.step
                if neighbour in shape.neighbours:
                    o = ox + i * step + output
                    assert o * stride + (kx + tap) * dilation - pads[0] == (
                        source + i * step * stride + (neighbour - shape.cut[0]) * dilation)
                    pairs += [(line, kx + tap, o) for line in range(ky, ky + shape.lines)]
        assert sorted(pairs) == [(ky, kx, o) for ky in range(4) for kx in range(kernel) for o in range(outputs)
                                 if 0 <= o * stride + kx * dilation - pads[0] < size]


def test_relu_keeps_nan():
    x = np.full((1, 16, 1, 2), np.nan, np.float32)
    assert np.isnan(depthwise.conv2d(x, np.ones((16, 1, 1, 1), np.float32), None, Window((1, 1)), relu=True)).all()


def test_empty_batches():
    window, empty, weight = Window((2, 2)), np.ones((0, 3, 4, 4)), np.ones((3, 1, 2, 2))
    out = depthwise.conv2d(empty, weight, None, window)
    assert out.shape == (0, 3, 3, 3)
    assert depthwise.conv2d_input_gradient(out, weight, empty.shape, window).shape == empty.shape
    assert not depthwise.conv2d_weight_gradient(out, empty, window).any()
