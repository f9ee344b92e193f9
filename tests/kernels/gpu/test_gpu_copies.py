"""Copies into a part of another array, against array code: any dtype, any strides, any slices."""

import emulator
import numpy as np
import pytest
import strict_array
import strict_cuda
from agreement import kernels
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.kernels import gpu, plain
from minidl.kernels.gpu.copies import Axis, joined, width_of
from minidl.testing.strategies import layouts, seeds

dtypes = st.sampled_from(["float16", "float32", "float64", "int64", "uint8", "bool"])
shapes = st.lists(st.integers(0, 9), min_size=0, max_size=5).map(tuple)


@st.composite
def places(draw):
    """(the shape of a result, a slice of each axis)"""
    shape = draw(shapes)
    return shape, tuple(draw(st.slices(n)) for n in shape)


def numbers(seed, dtype, shape):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape) * 9).astype(dtype)


@given(places(), dtypes, layouts, layouts, seeds)
def test_place(case, dtype, layout, like, seed):
    shape, index = case
    x = layout(numbers(seed, dtype, np.empty(shape)[index].shape))
    like = like(np.empty(shape, np.float32))
    with emulator.twice():
        ours = kernels.place(x, index, shape, like, 3)
    theirs = plain.place(x, index, shape, like, 3)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == x.dtype
    assert order_of(ours) == order_of(like)


def order_of(x):
    """The axes of more than one element by their strides."""
    return [] if x.size == 0 else sorted((a for a in range(x.ndim) if x.shape[a] > 1), key=lambda a: -x.strides[a])


@given(shapes.filter(len), st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 4), dtypes, layouts,
       seeds)
def test_concatenate(shape, lengths, axis, dtype, layout, seed):
    axis %= len(shape)
    arrays = [layout(numbers(seed, dtype, (*shape[:axis], n, *shape[axis + 1:]))) for n in lengths]
    with emulator.twice():
        ours = kernels.concatenate(arrays, axis)
    np.testing.assert_array_equal(ours, np.concatenate(arrays, axis))
    assert ours.dtype == arrays[0].dtype


def test_more_arrays_than_one_launch_takes():
    arrays = [np.full((3, n % 3), n, np.float32) for n in range(150)]
    strict_cuda.launches.clear()
    np.testing.assert_array_equal(kernels.concatenate(arrays, 1), np.concatenate(arrays, 1))
    assert strict_cuda.launches["concatenate"] == 3 - (len([x for x in arrays if x.size]) <= 128)


def channels_last(*shape):
    return strict_array.empty((shape[0], *shape[2:], shape[1]), np.float32).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(("index", "axes", "width"), [
    ((slice(None), slice(None), slice(1, 7), slice(1, 7)), 3, 4),          # padding: images, rows, and a row of pixels
    ((slice(None), slice(0, 8), slice(1, 7), slice(1, 7)), 4, 4),          # and half of the channels
    ((slice(None), slice(3, 6), slice(1, 7), slice(1, 7)), 4, 1),
], ids=str)
def test_what_is_copied_at_a_time(monkeypatch, index, axes, width):
    """Neighbours in memory are one axis, and 16 bytes one unit."""
    seen = []
    monkeypatch.setattr("minidl.kernels.gpu.copies.width_of", lambda x, found: seen.append(found) or width_of(x, found))
    like = channels_last(2, 16, 8, 8)
    x = channels_last(*like[index].shape)
    gpu.place(x, index, like.shape, like)
    assert len(seen[0]) == axes
    assert width_of(x, seen[0]) == width


def test_padding_slicing_and_joining_take_one_launch_each():
    x = Tensor(channels_last(2, 4, 5, 6), requires_grad=True)
    for function, forward in ((lambda: F.pad(x, (1, 2, -1, 0)), {"place": 1}),
                              (lambda: F.cat([x, x]), {"concatenate": 1}),
                              (lambda: x[1, ..., ::2], {})):
        strict_cuda.launches.clear()
        y = function()
        assert +strict_cuda.launches == forward
    grad = strict_array.empty(y.shape, np.float32)
    strict_cuda.launches.clear()
    y.backward(grad)
    assert +strict_cuda.launches == {"place": 1}


def test_axes_are_joined():
    whole = Axis(4, 0, 1, 4, 1)
    assert joined([Axis(3, 0, 1, 3, 4), whole]) == [Axis(12, 0, 1, 12, 1)]
    assert joined([Axis(5, 1, 1, 3, 4), whole]) == [Axis(20, 4, 1, 12, 1)]
    assert joined([Axis(5, 1, 2, 2, 4), whole]) == [Axis(5, 1, 2, 2, 4), whole]
    assert joined([Axis(1, 0, 1, 1, 7)] * 3) == [Axis(1, 0, 1, 1, 1)]
