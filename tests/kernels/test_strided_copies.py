"""Copies by all threads against NumPy's, for any memory order, slices and lengths."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import plain
from minidl.testing.strategies import layouts

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import cpu
from minidl.kernels.cpu import layout
from minidl.kernels.cpu.runtime.work import SERIAL_SIZE

SHAPES = ((3, 20, 31, 33), (3, 16, 32, 32), (40000,), (2, 30001), (3, 5, 2, 7, 11, 37), (1, 40, 1, 999))
some_array = st.tuples(st.sampled_from(SHAPES), st.sampled_from(["float32", "float64"]))


@st.composite
def slices(draw, shape):
    """A slice for each axis: most of it, or with steps, forwards or backwards, or all."""
    return tuple(draw(st.sampled_from([slice(None), slice(1, None), slice(0, max(1, n - 1)), slice(None, None, 2),
                                       slice(None, None, -1), slice(n // 2, None, -3)])) for n in shape)


def numbers(shape, dtype):
    """Distinct numbers."""
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


@given(array=some_array, layout_of_x=layouts, layout_of_like=layouts, data=st.data())
def test_place(array, layout_of_x, layout_of_like, data):
    shape, dtype = array
    index = data.draw(slices(shape))
    like, x = layout_of_like(np.zeros(shape, dtype)), layout_of_x(numbers(shape, dtype))[index]
    out, expected = (kernels.place(x, index, shape, like, 3.0) for kernels in (cpu, plain))
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == dtype


@given(array=some_array, first=layouts, second=layouts, data=st.data())
def test_concatenate(array, first, second, data):
    shape, dtype = array
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = numbers(shape, dtype)
    parts = first(x), second(-x)[(slice(None),) * axis + (slice(0, 1),)]
    np.testing.assert_array_equal(cpu.concatenate(parts, axis), np.concatenate(parts, axis))


@given(array=some_array, data=st.data())
def test_assign_leaves_the_rest_alone(array, data):
    shape, dtype = array
    index = data.draw(slices(shape))
    out, expected, x = np.zeros(shape, dtype), np.zeros(shape, dtype), numbers(shape, dtype)
    expected[index] = x[index]
    layout.assign(out[index], x[index])
    np.testing.assert_array_equal(out, expected)


def test_the_first_array_gives_the_memory_order():
    channels_last = np.zeros((3, 20, 20, 30), np.float32).transpose(0, 3, 1, 2)
    for out in (cpu.concatenate([channels_last, channels_last], 1), cpu.place(channels_last[:, :5], (
            slice(None), slice(0, 5), slice(None), slice(None)), channels_last.shape, channels_last)):
        assert out.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_slice_of_channels_is_copied_by_pixels():
    x = np.zeros((4, 10, 10, 64), np.float32)[..., 3:20]
    assert layout.common_axes(np.zeros(x.shape, np.float32), x) == [(400, 68, 256), (17, 4, 4)]


def test_arrays_that_do_not_fit_raise_as_in_numpy():
    with pytest.raises(ValueError, match="dimension"):
        cpu.concatenate([np.zeros((2, 3)), np.zeros((3, 3))], 1)


def test_integers_and_small_arrays():
    x = np.arange(2 * SERIAL_SIZE).reshape(2, -1)
    np.testing.assert_array_equal(cpu.concatenate([x, x], 0), np.concatenate([x, x], 0))
    np.testing.assert_array_equal(layout.copied(x.T), x.T)
    np.testing.assert_array_equal(layout.copied(x[:, :3].T), x[:, :3].T)
