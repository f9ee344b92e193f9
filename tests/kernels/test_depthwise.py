"""Depthwise convolution against grouped convolution the plain way, and against naive loops."""

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
    pytest.skip("the fast kernels need Numba's compiler", allow_module_level=True)

from minidl.kernels.cpu.convolution import depthwise
from minidl.kernels.cpu.llvm.depthwise_microkernel import PLACE_FORMS, TAP_FORMS, Form

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
channels, multipliers = st.sampled_from([1, 3, 8, 16, 21, 70]), st.integers(1, 3)      # vectors, and what is left over


def near(actual, expected, dtype):
    """Equal up to rounding, of the right dtype."""
    assert actual.dtype == dtype
    size = max(1, float(abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual / size, expected / size, rtol=0, atol=TOLERANCES[dtype])


def window_of(kernel, settings):
    """The Window of some settings."""
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
    """Every form of the tile, with channels left over: the same as the plain way."""
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


def test_strips_choose_the_wide_forms():
    """Width 16, 3x3, padding 1: two strips of eight, which know that a neighbour is missing at either end."""
    axis = (16, 3, 1, 1, (1, 1), 16)
    for table in (depthwise.reached, depthwise.reaching):
        forms = [PLACE_FORMS[f] for f in depthwise.strips(table, axis, 1, 1, 1)[:, 1]]
        assert forms == [Form(1, 8, 3, missing=(1, 0)), Form(1, 8, 3, missing=(0, 1))]


def test_every_pair_of_tap_and_place_is_met_once():
    for axis in [(5, 3, 1, 1, (1, 1), 5), (2, 3, 1, 1, (1, 1), 2), (9, 7, 2, 2, (3, 4), 2), (1, 5, 3, 1, (4, 9), 4),
                 (17, 3, 2, 1, (1, 0), 8), (6, 5, 1, 1, (3, 1), 6)]:
        size, kernel, stride, dilation, pads, places = axis
        met = []
        for number, row, j, z, at, rounds, step in depthwise.meetings(4, *axis).tolist():
            form = TAP_FORMS[number]
            assert step == form.taps
            for turn, tap, place in itertools.product(range(rounds), range(form.places), range(form.taps)):
                neighbour = tap + place * form.step
                if neighbour in form.neighbours:
                    o = z + turn * step + place
                    assert o * stride + (j + tap) * dilation - pads[0] == (
                        at + turn * step * stride + (neighbour - form.missing[0]) * dilation)
                    met += [(i, j + tap, o) for i in range(row, row + form.lines)]
        assert sorted(met) == [(i, j, o) for i in range(4) for j in range(kernel) for o in range(places)
                               if 0 <= o * stride + j * dilation - pads[0] < size]


def test_relu_keeps_nan():
    x = np.full((1, 16, 1, 2), np.nan, np.float32)
    assert np.isnan(depthwise.conv2d(x, np.ones((16, 1, 1, 1), np.float32), None, Window((1, 1)), relu=True)).all()


def test_empty_batches():
    window, nothing, weight = Window((2, 2)), np.ones((0, 3, 4, 4)), np.ones((3, 1, 2, 2))
    out = depthwise.conv2d(nothing, weight, None, window)
    assert out.shape == (0, 3, 3, 3)
    assert depthwise.conv2d_input_gradient(out, weight, nothing.shape, window).shape == nothing.shape
    assert not depthwise.conv2d_weight_gradient(out, nothing, window).any()
