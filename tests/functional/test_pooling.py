"""Pooling against naive loops, finite differences and bad input."""

import math
from functools import partial

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, poolings, seeds

POOLINGS = [F.max_pool2d, F.avg_pool2d]
sides = st.integers(1, 6)
adaptive = st.tuples(st.tuples(st.integers(1, 2), st.integers(1, 2), sides, sides), st.tuples(sides, sides))


@given(case=poolings(), layout=layouts, seed=seeds)
def test_max_pool2d(xp, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    expected, _ = reference.max_pool2d(x, **case.settings)
    np.testing.assert_array_equal(F.max_pool2d(layout(xp.asarray(x)), **case.settings).numpy(), expected)


@given(case=poolings(), layout=layouts, seed=seeds)
def test_avg_pool2d(xp, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    expected = reference.avg_pool2d(x, **case.settings)
    np.testing.assert_allclose(F.avg_pool2d(layout(xp.asarray(x)), **case.settings).numpy(), expected, atol=1e-12)


@given(case=adaptive, layout=layouts, seed=seeds)
def test_adaptive_avg_pool2d(xp, case, layout, seed):
    shape, size = case
    x, = distinct_values(shape, seed=seed)
    expected = reference.adaptive_avg_pool2d(x, size)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(layout(xp.asarray(x)), size).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("pool", POOLINGS)
@given(case=poolings(), layout=layouts, seed=seeds)
def test_gradients(xp, pool, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    check_gradients(partial(pool, **case.settings), layout(xp.asarray(x)), seed=seed)


@given(case=adaptive, layout=layouts, seed=seeds)
def test_adaptive_gradients(xp, case, layout, seed):
    shape, size = case
    x, = distinct_values(shape, seed=seed)
    check_gradients(partial(F.adaptive_avg_pool2d, output_size=size), layout(xp.asarray(x)), seed=seed)


@pytest.mark.parametrize("pool", POOLINGS)
@given(case=poolings(), seed=seeds)
def test_a_gradient_that_is_one_number_repeated(xp, pool, case, seed):
    """sum() sends back a view without memory of its own; it must count like any other gradient."""
    x, = distinct_values(case.x, seed=seed)
    ours, theirs = (Tensor(xp.asarray(x), requires_grad=True) for _ in range(2))
    pool(ours, **case.settings).sum().backward()
    out = pool(theirs, **case.settings)
    out.backward(xp.ones_like(out.data))
    np.testing.assert_allclose(Tensor(ours.grad).numpy(), Tensor(theirs.grad).numpy(), atol=1e-12)


def test_adaptive_avg_pool2d_keeps_a_length_given_as_none(xp):
    x = xp.ones((1, 2, 5, 7))
    assert F.adaptive_avg_pool2d(x, (None, 3)).shape == (1, 2, 5, 3)
    assert F.adaptive_avg_pool2d(x, 1).shape == (1, 2, 1, 1)


def test_max_pool2d_gives_a_shared_maximum_to_the_first(xp):
    x = Tensor(xp.ones((1, 1, 2, 2)), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [[[[1, 0], [0, 0]]]])


def test_max_pool2d_padding_never_wins(xp):
    x = xp.full((1, 1, 2, 2), -5.0)
    np.testing.assert_array_equal(F.max_pool2d(x, 2, stride=1, padding=1).numpy(), np.full((1, 1, 3, 3), -5))


@pytest.mark.parametrize("place", range(4))
def test_max_pool2d_lets_nan_through(xp, place):
    """Wherever it is in the window; and the gradient goes to it."""
    numbers = np.array([1.0, 2, 3, 4])
    numbers[place] = math.nan
    x = Tensor(xp.asarray(numbers.reshape(1, 1, 2, 2)), requires_grad=True)
    out = F.max_pool2d(x, 2)
    assert math.isnan(out.item())
    out.backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy().reshape(4), np.arange(4) == place)


def test_max_pool2d_of_a_window_of_more_than_256_places(xp):
    """The places no longer fit 8 bits."""
    x, = distinct_values((1, 1, 20, 20), seed=0)
    ours = Tensor(xp.asarray(x), requires_grad=True)
    F.max_pool2d(ours, 20).sum().backward()
    np.testing.assert_array_equal(Tensor(ours.grad).numpy(), x == x.max())


@pytest.mark.parametrize("pool", [*(partial(p, kernel_size=2) for p in POOLINGS),
                                  partial(F.adaptive_avg_pool2d, output_size=2),
                                  partial(F.adaptive_avg_pool2d, output_size=3)])
def test_an_empty_batch(xp, pool):
    x = Tensor(xp.ones((0, 3, 4, 4)), requires_grad=True)
    out = pool(x)
    assert out.shape[:2] == (0, 3)
    out.sum().backward()
    assert x.grad.shape == (0, 3, 4, 4)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, 3, 11, 8))
    torch_functional, image = torch.nn.functional, torch.from_numpy(x)
    for name in ("max_pool2d", "avg_pool2d"):
        theirs = getattr(torch_functional, name)(image, (3, 4), (2, 3), (1, 2))
        np.testing.assert_allclose(getattr(F, name)(x, (3, 4), (2, 3), (1, 2)).numpy(), theirs.numpy(), atol=1e-12)
    for size in [(4, 3), (None, 5), (13, 8)]:
        theirs = torch_functional.adaptive_avg_pool2d(image, size)
        np.testing.assert_allclose(F.adaptive_avg_pool2d(x, size).numpy(), theirs.numpy(), atol=1e-12)


BAD_SETTINGS = [
    ({"kernel_size": 0}, r"kernel_size=0 must be a whole number of at least 1"),
    ({"kernel_size": 2.0}, r"kernel_size=2\.0"),
    ({"kernel_size": 3, "stride": 0}, r"stride=0"),
    ({"kernel_size": 3, "padding": 2}, r"padding=2 must be at most half of kernel_size=3"),
    ({"kernel_size": 3, "padding": -1}, r"padding=-1"),
    ({"kernel_size": 5}, r"a window that spans \(5, 5\) does not fit images of \(4, 4\)"),
]


@pytest.mark.parametrize("pool", POOLINGS)
@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS)
def test_bad_settings(pool, settings, message):
    with pytest.raises(ValueError, match=rf"^{pool.__name__}: .*{message}"):
        pool(np.ones((1, 1, 4, 4)), **settings)


@pytest.mark.parametrize("size", [0, (1, 2, 3), 1.5])
def test_bad_output_sizes(size):
    with pytest.raises(ValueError, match=r"^adaptive_avg_pool2d: output_size=.* must be a whole number of at least 1"):
        F.adaptive_avg_pool2d(np.ones((1, 1, 4, 4)), size)


@pytest.mark.parametrize("pool", [*POOLINGS, F.adaptive_avg_pool2d])
def test_bad_images(pool):
    with pytest.raises(ValueError, match=rf"^{pool.__name__}: x must be images \(N, C, H, W\), not \(1, 4, 4\)"):
        pool(np.ones((1, 4, 4)), 2)
    with pytest.raises(TypeError, match=rf"^{pool.__name__}: x must hold floats, not int64"):
        pool(np.ones((1, 1, 4, 4), int), 2)
