"""F.interpolate against naive loops, finite differences, PyTorch and bad input."""

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
from minidl.testing.strategies import distinct_values, layouts, pairs, seeds, short

MODES = [{"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}]
quarters = st.integers(4, 14).map(lambda n: n / 4)                # exact in float32, in which positions are computed


@st.composite
def cases(draw):
    """A shape, a size or scale_factor, the resulting size, and the distances between output pixels."""
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *draw(pairs(1, 5)))
    if draw(st.booleans()):
        size = draw(pairs(1, 9))
        return shape, {"size": draw(short(size))}, size, tuple(n / m for n, m in zip(shape[2:], size, strict=True))
    scales = draw(st.tuples(quarters, quarters) | quarters.map(lambda s: (s, s)))
    size = tuple(math.floor(n * s) for n, s in zip(shape[2:], scales, strict=True))
    steps = tuple(n / m if m in (n, 2 * n) else 1 / s for n, m, s in zip(shape[2:], size, scales, strict=True))
    return shape, {"scale_factor": draw(short(scales))}, size, steps


@pytest.mark.parametrize("mode", MODES, ids=str)
@given(case=cases(), layout=layouts, seed=seeds)
def test_forward(xp, mode, case, layout, seed):
    shape, settings, size, steps = case
    if mode["mode"] == "bilinear" and "scale_factor" in settings:          # there, doubling is no special case
        scales = reference.pair(settings["scale_factor"])
        steps = tuple(1 if n == m else 1 / s for n, m, s in zip(shape[2:], size, scales, strict=True))
    x, = distinct_values(shape, seed=seed)
    out = F.interpolate(layout(xp.asarray(x)), **settings, **mode)
    np.testing.assert_allclose(out.numpy(), reference.interpolate(x, size, steps, **mode), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", MODES, ids=str)
@given(case=cases(), layout=layouts, seed=seeds)
def test_gradients(xp, mode, case, layout, seed):
    x, = distinct_values(case[0], seed=seed)
    check_gradients(partial(F.interpolate, **case[1], **mode), layout(xp.asarray(x)), seed=seed)


def test_doubling_by_hand(xp):
    x = xp.asarray(np.array([0.0, 4.0]).reshape(1, 1, 1, 2))
    assert F.interpolate(x, (1, 4)).numpy().ravel().tolist() == [0, 0, 4, 4]
    assert F.interpolate(x, (1, 4), mode="bilinear").numpy().ravel().tolist() == [0, 1, 3, 4]
    np.testing.assert_allclose(F.interpolate(x, (1, 5), mode="bilinear", align_corners=True).numpy().ravel(), range(5))


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_agrees(mode, dtype):
    """Includes sizes at which rounding decides which pixel is the nearest."""
    torch = pytest.importorskip("torch")
    for n in (1, 3, 7, 13, 30, 35, 36):
        x, = distinct_values((1, 2, n, 3), seed=n, dtype=dtype)
        for settings in [{"size": (m, 4)} for m in (1, 2, 9, 29, 57, 84)] + [
                {"scale_factor": (s, 1.0)} for s in (1.0, 1.1, 2.0, 2.01, 2.7, 3.3)]:
            theirs = torch.nn.functional.interpolate(torch.from_numpy(x), **settings, **mode).numpy()
            ours = F.interpolate(x, **settings, **mode)
            assert ours.dtype == dtype
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_an_empty_batch(xp):
    x = Tensor(xp.ones((0, 2, 3, 3)), requires_grad=True)
    out = F.interpolate(x, 5, mode="bilinear")
    assert out.shape == (0, 2, 5, 5)
    out.sum().backward()
    assert x.grad.shape == (0, 2, 3, 3)


@pytest.mark.parametrize(("settings", "message"), [
    ({}, "give either size or scale_factor"),
    ({"size": 2, "scale_factor": 2.0}, "give either size or scale_factor"),
    ({"size": 0}, "size=0 must be a whole number of at least 1"),
    ({"size": 2.5}, r"size=2\.5"),
    ({"scale_factor": 0}, "scale_factor=0 must be a number above 0"),
    ({"scale_factor": math.nan}, "scale_factor=nan"),
    ({"scale_factor": math.inf}, "scale_factor=inf"),
    ({"scale_factor": (1, 2, 3)}, r"scale_factor=\(1, 2, 3\)"),
    ({"scale_factor": 0.1}, r"scale_factor=0\.1 turns images of \(4, 4\) pixels into \(0, 0\)"),
    ({"size": 2, "mode": "bicubic"}, "mode='bicubic' is none of nearest, bilinear"),
    ({"size": 2, "align_corners": False}, "align_corners applies only to mode='bilinear'"),
])
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=rf"^interpolate: {message}"):
        F.interpolate(np.ones((1, 1, 4, 4)), **settings)


def test_bad_images():
    with pytest.raises(ValueError, match=r"^interpolate: x must be images"):
        F.interpolate(np.ones((1, 4, 4)), 2)
    with pytest.raises(ValueError, match=r"^interpolate: images of \(0, 4\) pixels are empty"):
        F.interpolate(np.ones((1, 1, 0, 4)), 2)
    with pytest.raises(TypeError, match=r"^interpolate: x must hold floats, not int64"):
        F.interpolate(np.ones((1, 1, 4, 4), int), 2)
