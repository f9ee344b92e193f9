"""Tests of the exercises of chapter 4."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor
from minidl.kernels.cpu.convolution.winograd_transforms import FILTER, INPUT, OUTPUT, PAIRS


def images_and_filters(n=2, h=9, w=8, c=3, kh=3, kw=2, f=4):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, h, w, c)), rng.standard_normal((kh, kw, c, f))


def by_minidl(x, w, **settings):
    """F.conv2d for images (N, H, W, C) and filters (KH, KW, C, F)."""
    x, w = (t if isinstance(t, Tensor) else Tensor(t) for t in (x, w))
    return F.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), **settings).permute(0, 2, 3, 1)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_conv(exercise, stride, dilation):
    x, w = images_and_filters()
    before = x.copy()
    found = exercise.conv(x, w, stride, dilation)
    np.testing.assert_allclose(found, by_minidl(x, w, stride=stride, dilation=dilation).data, atol=1e-10)
    assert np.array_equal(x, before)


def test_conv_of_a_window_as_large_as_the_image(exercise):
    x, w = images_and_filters(1, 3, 2, 1)
    assert exercise.conv(x, w).shape == (1, 1, 1, 4)
    np.testing.assert_allclose(exercise.conv(x, w)[0, 0, 0], (x[0, ..., None] * w).sum((0, 1, 2)))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 4), (3, 1)])
def test_input_gradient(exercise, kernel):
    x, w = images_and_filters(kh=kernel[0], kw=kernel[1])
    tensor = Tensor(x, requires_grad=True)
    out = by_minidl(tensor, w)
    grad = np.random.default_rng(1).standard_normal(out.shape)
    out.backward(grad)
    np.testing.assert_allclose(exercise.input_gradient(grad, w), tensor.grad, atol=1e-10)


@pytest.mark.parametrize(("m", "r", "points"), [
    (2, 3, [0, 1, -1]),
    (4, 3, [0, 1, -1, 2, -2]),
    (2, 5, [0, 1, -1, 2, -2]),
    (3, 2, [0, 1, -1]),
    (1, 3, [0, 1]),
    (6, 3, [0, 1, -1, 2, -2, 0.5, -0.5]),
])
def test_winograd_matrices(exercise, m, r, points):
    BT, G, AT = exercise.winograd_matrices(m, r, points)
    n = m + r - 1
    assert (BT.shape, G.shape, AT.shape) == ((n, n), (n, r), (m, n))
    rng = np.random.default_rng(0)
    for _ in range(3):
        d, g = rng.standard_normal(n), rng.standard_normal(r)
        np.testing.assert_allclose(AT @ ((G @ g) * (BT @ d)), np.correlate(d, g), atol=1e-9)


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (2, 5)])
def test_winograd_matrices_are_those_of_minidl_but_for_factors(exercise, m, r):
    n = m + r - 1
    BT, G, AT = exercise.winograd_matrices(m, r, [0, 1, -1, 2, -2][:n - 1])
    pairs = np.array(PAIRS[n])
    theirs, found = (np.einsum("ie,ej,ek->eijk", a, g, b) for a, g, b in
                     ((OUTPUT[m, n] @ pairs, pairs @ FILTER[n, r], pairs @ INPUT[n]), (AT, G, BT)))
    np.testing.assert_allclose(found, theirs, atol=1e-9)           # products of the three, in which factors cancel
