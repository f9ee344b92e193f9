"""Dropout of elements and of channels: the kept share, the scale, and masks that a seed reproduces."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor, manual_seed
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes


def test_dropout_scales_the_kept_elements(xp):
    manual_seed(0)
    x = Tensor(xp.ones((100, 100), dtype=xp.float32), requires_grad=True)
    out = F.dropout(x, 0.25)
    kept = out.numpy() != 0
    assert 0.73 < kept.mean() < 0.77
    np.testing.assert_allclose(out.numpy(), np.where(kept, 1 / 0.75, 0), rtol=1e-6)
    out.sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), out.numpy())      # the same elements and factor
    assert out.dtype == x.grad.dtype == np.float32


@given(shape=shapes(), p=st.floats(0, 0.9), layout=layouts, seed=seeds)
def test_dropout_gradients(xp, shape, p, layout, seed):
    def same_each_time(x):
        manual_seed(seed)
        return F.dropout(x, p)

    x, = distinct_values(shape, seed=seed)
    check_gradients(same_each_time, layout(xp.asarray(x)), seed=seed)


def test_dropout_draws_a_new_mask_each_time_and_a_seed_repeats_it(xp):
    x = xp.ones(1000)
    manual_seed(1)
    first, second = F.dropout(x).numpy(), F.dropout(x).numpy()
    manual_seed(1)
    assert (first != second).any()
    np.testing.assert_array_equal(F.dropout(x).numpy(), first)


@pytest.mark.parametrize("drop", [F.dropout, F.dropout2d])
@pytest.mark.parametrize("settings", [{"training": False}, {"p": 0}])
def test_eval_mode_and_probability_zero(xp, drop, settings):
    x, = distinct_values((2, 3, 4, 1), seed=0)
    np.testing.assert_array_equal(drop(xp.asarray(x), **settings).numpy(), x)
    check_gradients(partial(drop, **settings), xp.asarray(x))


def test_dropout2d_drops_whole_channels(xp):
    x = Tensor(xp.ones((40, 50, 3, 2), dtype=xp.float32), requires_grad=True)
    out = F.dropout2d(x, 0.25)
    kept = out.numpy().any((2, 3))
    assert 0.73 < kept.mean() < 0.77
    np.testing.assert_allclose(out.numpy(), np.where(kept, 1 / 0.75, 0)[:, :, None, None] * np.ones((3, 2)), rtol=1e-6)
    out.sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), out.numpy())
    assert out.dtype == x.grad.dtype == np.float32


@given(shape=shapes(min_dims=4), p=st.floats(0, 0.9), layout=layouts, seed=seeds)
def test_dropout2d_gradients(xp, shape, p, layout, seed):
    def same_each_time(x):
        manual_seed(seed)
        return F.dropout2d(x, p)

    x, = distinct_values(shape, seed=seed)
    check_gradients(same_each_time, layout(xp.asarray(x)), seed=seed)


@pytest.mark.parametrize("drop", [F.dropout, F.dropout2d])
@pytest.mark.parametrize("p", [-0.1, 1.1, 2, math.nan, True, "half", None])
def test_bad_probabilities(drop, p):
    with pytest.raises(ValueError, match=rf"^{drop.__name__}: p={p!r} is not between 0 and 1"):
        drop(np.ones((1, 2, 3, 4)), p=p)


def test_dropout2d_needs_images():
    with pytest.raises(ValueError, match=r"^dropout2d: x must be images \(N, C, H, W\), not \(3, 4\)"):
        F.dropout2d(np.ones((3, 4)))
