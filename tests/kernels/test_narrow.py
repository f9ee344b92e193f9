"""The input gradient for few channels against naive loops, and, for larger images, against the plain kernels."""

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

from minidl.kernels.cpu import convolution
from minidl.kernels.cpu.convolution import narrow
from minidl.kernels.cpu.runtime.target import MR

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}


def near(actual, expected, dtype):
    """Equal up to rounding, of the right dtype."""
    assert actual.dtype == dtype
    size = max(1, float(abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual / size, expected / size, rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES)
@given(case=convolutions(grouped=False), c=st.sampled_from([1, 3, 7, 20]), layout=layouts, biased=st.booleans(),
       seed=seeds)
def test_against_naive_loops(dtype, case, c, layout, biased, seed):
    kernel, settings = case.weight[2:], dict(case.settings)
    settings["dilation"] = reference.pair(settings["dilation"])[0], 1
    window = Window(kernel, reference.pair(settings["stride"]),
                    reference.pads(settings["padding"], kernel, settings["dilation"]), settings["dilation"])
    shape, f = (case.x[0], c, *case.x[2:]), case.weight[0]
    arrays = distinct_values((f, c, *kernel), (shape[0], f, *window.out(shape[2:])), (c,), seed=seed)
    weight, grad, bias = (layout(a.astype(dtype)) for a in arrays)
    copies = [a.copy() for a in (weight, grad, bias)]
    expected = reference.conv2d_input_gradient(arrays[1], arrays[0], shape, **settings)
    if biased:
        expected = expected + arrays[2][:, None, None]
    near(narrow.conv2d_input_gradient(grad, weight, shape, window, bias if biased else None), expected, dtype)
    for array, copy in zip((weight, grad, bias), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("shape", "kernel", "stride", "pads", "dilation"), [
    ((17, 6, 14, 14), (5, 5), (1, 1), (0, 0), 1), ((9, 3, 12, 33), (3, 3), (1, 1), (1, 1), 1),
    ((2, 3, 30, 31), (7, 7), (2, 2), (3, 3), 1), ((3, 3, 31, 30), (11, 11), (4, 4), (2, 1), 1),
    ((4, 2, 20, 20), (3, 4), (4, 3), (2, 0), 3), ((3, 5, 9, 7), (2, 7), (3, 1), (0, 6), 2),
])
def test_against_the_plain_kernels(dtype, shape, kernel, stride, pads, dilation):
    rng, window = np.random.default_rng(0), Window(kernel, stride, (pads, pads), (dilation, 1))
    weight = rng.standard_normal((20, shape[1], *kernel))
    grad, bias = rng.standard_normal((shape[0], 20, *window.out(shape[2:]))), rng.standard_normal(shape[1])
    near(narrow.conv2d_input_gradient(grad.astype(dtype), weight.astype(dtype), shape, window, bias.astype(dtype)),
         plain.conv2d_input_gradient(grad, weight, shape, window, bias=bias), dtype)


def test_nan_reaches_only_the_pixels_under_its_window():
    window, grad = Window((3, 3)), np.zeros((2, 5, 9, 9), np.float32)
    grad[1, 2, 4, 4] = np.nan
    out = convolution.conv2d_input_gradient(grad, np.ones((5, 2, 3, 3), np.float32), (2, 2, 11, 11), window)
    expected = np.zeros(out.shape, bool)
    expected[1, :, 4:7, 4:7] = True
    np.testing.assert_array_equal(np.isnan(out), expected)


def test_images_are_processed_together_until_tiles_are_full():
    assert narrow.images_together(128, MR, 1) == 1
    assert narrow.images_together(128, 1, 1) == next(i for i in range(1, 99) if MR - i <= 0.1 * i)
    assert narrow.images_together(3, 1, 1) == 3
    assert narrow.images_together(0, 0, 0) == 1
