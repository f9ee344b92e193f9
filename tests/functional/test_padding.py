"""F.pad in all modes, against numpy.pad, finite differences and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes

sides = st.integers(1, 4)


@st.composite
def paddings(draw):
    """A shape, and `pad` for some of its last axes; it crops at most everything."""
    shape = draw(shapes())
    pairs = []
    for n in shape[len(shape) - draw(st.integers(0, len(shape))):]:
        low = draw(st.integers(-n, 2))
        pairs.append((low, draw(st.integers(-n - min(low, 0), 2))))
    return shape, pairs


@given(case=paddings(), layout=layouts, seed=seeds)
def test_constant(xp, case, layout, seed):
    shape, pairs = case
    x, = distinct_values(shape, seed=seed)
    full = [(0, 0)] * (len(shape) - len(pairs)) + pairs
    wide = np.pad(x, [(max(low, 0), max(high, 0)) for low, high in full] or 0, constant_values=7)
    inner = tuple(slice(max(-low, 0), n + min(high, 0)) for n, (low, high) in zip(wide.shape, full, strict=True))
    last_axis_first = tuple(p for pair in reversed(pairs) for p in pair)
    ours = layout(xp.asarray(x))
    np.testing.assert_array_equal(F.pad(ours, last_axis_first, value=7).numpy(), wide[inner])
    check_gradients(lambda x: F.pad(x, last_axis_first, value=7), ours, seed=seed)


@st.composite
def copying_paddings(draw, mode):
    """The shape of images, and `pad` for their columns, or rows and columns; it never crops everything."""
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(sides), draw(sides))
    pad = []
    for n in (shape[3], shape[2])[:draw(st.integers(0, 2))]:
        most = n - 1 if mode == "reflect" else 4
        low = draw(st.integers(1 - n, most))
        pad += [low, draw(st.integers(max(1 - n, 1 - n - low), most))]
    return shape, tuple(pad)


@pytest.mark.parametrize(("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge")])
@given(data=st.data(), layout=layouts, seed=seeds)
def test_copies(xp, mode, numpys, data, layout, seed):
    shape, pad = data.draw(copying_paddings(mode))
    x, = distinct_values(shape, seed=seed)
    (left, right, top, bottom), ours = (*pad, *(0,) * (4 - len(pad))), layout(xp.asarray(x))
    around = [(0, 0), (0, 0)] + [(max(low, 0), max(high, 0)) for low, high in ((top, bottom), (left, right))]
    wide = np.pad(x, around, mode=numpys)
    h, w = wide.shape[2:]
    expected = wide[:, :, max(-top, 0):h + min(bottom, 0), max(-left, 0):w + min(right, 0)]
    np.testing.assert_array_equal(F.pad(ours, pad, mode=mode).numpy(), expected)
    check_gradients(lambda x: F.pad(x, pad, mode=mode), ours, seed=seed)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_torch_agrees(mode):
    torch = pytest.importorskip("torch")
    x, = distinct_values((2, 3, 4, 5), seed=0)
    for pad in ((1, 3, 2, 0), (2, 1), (-1, 2, 3, -2)):
        theirs = torch.nn.functional.pad(torch.from_numpy(x), pad if len(pad) == 4 else (*pad, 0, 0), mode)
        np.testing.assert_array_equal(F.pad(x, pad, mode).numpy(), theirs.numpy())


def test_images_stay_channels_last_in_memory():
    """So the next convolution need not convert them. (The kernel for the other modes keeps the order, too.)"""
    x = np.ones((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2)
    assert F.pad(x, (1, 1, 1, 1)).data.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(("pad", "settings", "message"), [
    ((1,), {}, r"pad=\(1,\) must be pairs"),
    ((1, 1) * 5, {}, r".* at most 4 pairs"),
    ((0.5, 1), {}, r".*whole numbers"),
    ((-2, -4), {}, r".*crops more than the shape"),
    ((1, 1), {"mode": "circular"}, r"mode='circular' is none of constant, reflect, replicate"),
    ((5, 0), {"mode": "reflect"}, r"pad=\(5, 0\) is too large for mode='reflect' on images of \(4, 5\) pixels"),
    ((0, 0, 0, 4), {"mode": "reflect"}, r".* is too large for mode='reflect'"),
    ((-3, -2), {"mode": "reflect"}, r".* leaves nothing of images of \(4, 5\) pixels"),
    ((0, 0, 0, 0, 1, 0), {"mode": "replicate"}, r"mode='replicate' pads only the last two axes of images"),
])
def test_bad_settings(pad, settings, message):
    with pytest.raises(ValueError, match=rf"^pad: {message}"):
        F.pad(np.ones((2, 3, 4, 5)), pad, **settings)


def test_bad_images():
    with pytest.raises(ValueError, match=r"^pad: x must be images"):
        F.pad(np.ones((4, 4)), (1, 1), mode="reflect")
    with pytest.raises(ValueError, match=r"^pad: .* on images of \(0, 4\) pixels"):
        F.pad(np.ones((1, 1, 0, 4)), (1, 1), mode="replicate")
