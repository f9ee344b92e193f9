"""Sums of millions of equal numbers keep their digits, over every axis, in every memory layout and on every path.

VALUE is such that many additions in float32 are rounded in the same direction: added one after the other, two million
of it are wrong by more than a thousandth.
"""

import math
import os

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, kernels

N = 2_000_000
VALUE = np.float32(0.1)
SIDE = 1400                                          # of images of about N pixels
LAYOUTS = {
    "C order": lambda: np.full((N, 2), VALUE),
    "Fortran order": lambda: np.full((2, N), VALUE).T,
    "every other column": lambda: np.full((N, 4), VALUE)[:, ::2],
    "every other row": lambda: np.full((2 * N, 2), VALUE)[::-2],
    "broadcast": lambda: np.broadcast_to(VALUE, (N, 2)),
    "broadcast columns": lambda: np.broadcast_to(np.full((N, 1), VALUE), (N, 2)),
}
IMAGES = {
    "NCHW": lambda: np.full((1, 2, SIDE, SIDE), VALUE),
    "channels last": lambda: np.full((1, SIDE, SIDE, 2), VALUE).transpose(0, 3, 1, 2),
    "batch last": lambda: np.full((2, SIDE, SIDE, 1), VALUE).transpose(3, 0, 1, 2),
}
by_layout = pytest.mark.parametrize("layout", LAYOUTS)
by_images = pytest.mark.parametrize("images", IMAGES)
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, params=["plain", "auto"])
def backend(request):
    """Every test runs with both."""
    if request.param == "auto" and os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
        pytest.skip("the cpu backend needs Numba's compiler")
    with kernels.using(request.param):
        yield


def near(got, expected, tolerance=1.1e-6):
    """Equal up to float32's last digits; `got` is a Tensor or an array."""
    got = got.numpy() if isinstance(got, Tensor) else got
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.astype(float), np.broadcast_to(expected, got.shape), rtol=tolerance)


def test_one_after_the_other_loses_digits():
    """So the tests below can fail."""
    assert abs(float(np.add.accumulate(np.full(N, VALUE))[-1]) / (N * float(VALUE)) - 1) > 1e-3


@by_layout
@pytest.mark.parametrize("axis", [0, 1, None])
def test_reductions(layout, axis):
    x = LAYOUTS[layout]()
    n = x.size if axis is None else x.shape[axis]
    near(F.sum(Tensor(x), axis), n * float(VALUE))
    near(F.mean(Tensor(x), axis), float(VALUE))
    near(F.logsumexp(Tensor(x), axis), float(VALUE) + math.log(n))
    half = x.astype(np.float32) * (np.arange(N) % 2).astype(np.float32)[:, None]
    if axis != 1:
        near(F.var(Tensor(half), axis), float(VALUE)**2 / 4 * n / (n - 1))


def test_several_axes_among_others():
    x = np.full((3, 200, 7, 100, 2, 10), VALUE)
    for axes in ((0, 2, 4), (1, 3, 5), (0, 1, 5), (3,), (2, 3)):
        near(F.sum(Tensor(x), axes), math.prod(x.shape[i] for i in axes) * float(VALUE))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_long_rows(name, axis):
    x = np.where(np.arange(N) % 2, np.float32(-1), np.float32(0))
    x = np.ascontiguousarray(np.stack([x, x], 1 - axis))
    total = N / 2 * (1 + math.exp(-1))
    x = Tensor(x, requires_grad=True)
    out = getattr(F, name)(x, axis)
    near(np.exp(out.numpy().take([0], axis)) if name == "log_softmax" else out.numpy().take([0], axis), 1 / total, 3e-6)
    gradient = np.full(x.shape, VALUE)
    out.backward(gradient)
    if name == "log_softmax":
        near(x.grad.take([0], axis), float(VALUE) * (1 - N / total), 5e-6)
    else:
        np.testing.assert_allclose(x.grad, 0, atol=1e-12)


def test_gradients_of_what_is_added_to_every_row():
    rows, ones = Tensor(np.zeros((N, 2), np.float32)), Tensor(np.ones((N, 1), np.float32))
    for function, shape, count in (
        (lambda b: rows + b, (2,), N),
        (lambda b: b * Tensor(np.ones((N, 2), np.float32)), (1, 2), N),
        (lambda b: rows - b, (), -2 * N),
        (lambda b: F.linear(ones, Tensor(np.zeros((2, 1), np.float32)), b), (2,), N),
        (lambda b: F.expand(b, shape=(N, 2)), (2,), N),
        (lambda b: b[np.zeros(N, np.int64)], (1,), N),
    ):
        b = Tensor(np.zeros(shape, np.float32), requires_grad=True)
        out = function(b)
        out.backward(np.full(out.shape, VALUE))
        near(b.grad, count * float(VALUE))
    b = Tensor(np.zeros(2, np.float32), requires_grad=True)
    (rows + b).sum().backward()                      # the gradient of each row is the same element of memory
    near(b.grad, N)


@by_images
def test_images(images):
    x, pixels = IMAGES[images](), SIDE * SIDE
    weight = Tensor(np.zeros((2, 2, 1, 1), np.float32))
    for convolve in (F.conv2d, F.conv_transpose2d):
        b = Tensor(np.zeros(2, np.float32), requires_grad=True)
        convolve(Tensor(x), weight, b).backward(x)
        near(b.grad, pixels * float(VALUE))
    near(F.mean(Tensor(x), (2, 3)), float(VALUE))
    for size in (1, (2, 7), (3, 4)):
        near(F.adaptive_avg_pool2d(Tensor(x), size), float(VALUE))
    near(F.avg_pool2d(Tensor(x[:, :, :300, :300]), (290, 280), 3), float(VALUE))


@by_images
def test_norms(images):
    half = IMAGES[images]() * (np.arange(SIDE) % 2).astype(np.float32)
    total, ones = SIDE * SIDE / 2 * float(VALUE), np.ones(2, np.float32)
    deviation = float(VALUE) / 2 / math.sqrt(float(VALUE)**2 / 4 + 1e-5)
    for norm in (F.batch_norm, lambda x, w, b: F.group_norm(x, 1, w, b), lambda x, w, b: F.group_norm(x, 2, w, b)):
        w, b = Tensor(ones, requires_grad=True), Tensor(ones * 0, requires_grad=True)
        out = norm(Tensor(half), w, b)
        near(abs(out.numpy()), deviation, 2e-6)
        out.backward(half)
        near(b.grad, total)
        near(w.grad, total * deviation, 3e-6)
    near(abs(F.layer_norm(Tensor(half), half.shape[1:]).numpy()), deviation, 2e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@by_layout
def test_losses(layout, reduction):
    x = LAYOUTS[layout]()
    zeros, target = Tensor(x * 0), np.zeros(N, np.int64)
    value, count = float(VALUE), {"mean": 1, "sum": N}[reduction]
    for loss, expected in ((F.mse_loss, float(VALUE * VALUE)), (F.l1_loss, value),
                           (F.smooth_l1_loss, value**2 / 2),
                           (F.binary_cross_entropy_with_logits, math.log1p(math.exp(value)))):
        near(loss(Tensor(x), zeros, reduction=reduction), expected * (1 if reduction == "mean" else 2 * N))
    weight = Tensor(np.full(2, VALUE))
    near(F.nll_loss(Tensor(-x), target, reduction=reduction), count * value)
    weighted = count * (value if reduction == "sum" else 1)
    near(F.nll_loss(Tensor(-x), target, weight, reduction=reduction), weighted * value, 2e-6)
    near(F.cross_entropy(Tensor(x), target, weight, reduction=reduction, label_smoothing=0.1),
         weighted * math.log(2), 2e-6)
    near(F.focal_loss(Tensor(x), target, reduction=reduction), count * math.log(2) / 4, 2e-6)


def test_dice_loss():
    n = SIDE * SIDE
    near(F.dice_loss(Tensor(np.zeros((1, 1, SIDE, SIDE), np.float32)), np.ones((1, SIDE, SIDE), np.int64)),
         1 - (n + 1) / (1.25 * n + 1), 5e-6)


@pytest.mark.parametrize("grow", [
    lambda x: F.interpolate(x, (SIDE, SIDE)),
    lambda x: F.interpolate(x, (SIDE, SIDE), mode="bilinear"),
    lambda x: F.pad(x, (700, 699, 0, SIDE - 1), "replicate"),
    lambda x: F.expand(x, shape=(1, 1, SIDE, SIDE)),
])
def test_the_gradient_of_one_pixel_that_became_many(grow):
    x = Tensor(np.zeros((1, 1, 1, 1), np.float32), requires_grad=True)
    grow(x).backward(np.full((1, 1, SIDE, SIDE), VALUE))
    near(x.grad, SIDE * SIDE * float(VALUE))


@pytest.mark.parametrize(("side", "channels"), [(15, 1), (15, 64), (100, 1)])
def test_the_gradient_of_one_pixel_in_many_windows(side, channels):
    x = np.zeros((1, channels, 2 * side - 1, 2 * side - 1), np.float32)
    x[:, :, side - 1, side - 1] = 1
    for pool, expected in ((F.max_pool2d, side**2 * float(VALUE)), (F.avg_pool2d, float(VALUE))):
        tensor = Tensor(x, requires_grad=True)
        out = pool(tensor, side, 1)
        out.backward(np.full(out.shape, VALUE))
        near(tensor.grad[:, :, side - 1, side - 1], expected)


def test_response_norm_over_many_channels():
    out = F.local_response_norm(Tensor(np.full((1, 4001, 1, 1), VALUE)), 2001, alpha=1.0, beta=1.0, k=0.0)
    near(out.numpy()[0, 2000], 1 / float(VALUE), 2e-6)
