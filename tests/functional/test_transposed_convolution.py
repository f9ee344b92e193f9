"""F.conv_transpose2d against naive loops, the convolution that it transposes, finite differences and bad input."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import convolutions, distinct_values, layouts, pairs, seeds, short

small = st.integers(1, 3)


@st.composite
def cases(draw):
    """Shapes of x, weight and bias, and settings for which the output has at least one pixel."""
    kernel, stride, dilation, groups = draw(pairs(1, 4)), draw(pairs(1, 3)), draw(pairs(1, 3)), draw(small)
    more = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    size = draw(pairs(1, 4))
    padding = tuple(draw(st.integers(0, ((n - 1) * s + d * (k - 1) + m) // 2))
                    for n, s, d, k, m in zip(size, stride, dilation, kernel, more, strict=True))
    channels, filters = draw(small) * groups, draw(small)
    settings = {"stride": draw(short(stride)), "padding": draw(short(padding)), "output_padding": draw(short(more)),
                "groups": groups, "dilation": draw(short(dilation))}
    return ((draw(small), channels, *size), (channels, filters, *kernel), (filters * groups,)), settings


@given(case=cases(), layout=layouts, seed=seeds, biased=st.booleans())
def test_forward(xp, case, layout, seed, biased):
    shapes, settings = case
    arrays = distinct_values(*shapes, seed=seed)[:2 + biased]
    out = F.conv_transpose2d(*(layout(xp.asarray(a)) for a in arrays), **settings)
    np.testing.assert_allclose(out.numpy(), reference.conv_transpose2d(*arrays, **settings), rtol=1e-10, atol=1e-12)


@given(case=cases(), layout=layouts, seed=seeds, biased=st.booleans())
def test_gradients(xp, case, layout, seed, biased):
    shapes, settings = case
    inputs = [layout(xp.asarray(a)) for a in distinct_values(*shapes[:2 + biased], seed=seed)]
    check_gradients(lambda *inputs: F.conv_transpose2d(*inputs, **settings), *inputs, seed=seed)


@given(case=convolutions(), seed=seeds)
def test_it_transposes_conv2d(xp, case, seed):
    """<conv2d(x), y> = <x, conv_transpose2d(y)> with the same weight."""
    settings = case.settings
    if isinstance(settings["padding"], str):
        settings = {**settings, "padding": 0, "stride": 1}
        case = case._replace(x=(*case.x[:2], *(n + 9 for n in case.x[2:])))
    x, weight = distinct_values(case.x, case.weight, seed=seed)
    out = F.conv2d(xp.asarray(x), xp.asarray(weight), **settings).numpy()
    y, = distinct_values(out.shape, seed=seed + 1)
    smallest = F.conv_transpose2d(xp.asarray(y), xp.asarray(weight), **settings).shape[2:]
    rest = tuple(n - m for n, m in zip(case.x[2:], smallest, strict=True))    # rows that no window of conv2d covered
    back = F.conv_transpose2d(xp.asarray(y), xp.asarray(weight), **settings, output_padding=rest)
    np.testing.assert_allclose((out * y).sum(), (x * back.numpy()).sum(), rtol=1e-9, atol=1e-11)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    arrays = distinct_values((2, 4, 5, 3), (4, 3, 2, 4), (6,), seed=0)
    for settings in ({"stride": (3, 2), "padding": (0, 1), "output_padding": (2, 1), "groups": 2},
                     {"dilation": (3, 1), "output_padding": (2, 0), "padding": 1, "groups": 2}):
        theirs = torch.nn.functional.conv_transpose2d(*map(torch.from_numpy, arrays), **settings)
        np.testing.assert_allclose(F.conv_transpose2d(*arrays, **settings).numpy(), theirs.numpy(), rtol=1e-10)


def test_an_empty_batch(xp):
    x, weight, bias = (Tensor(xp.ones(shape), requires_grad=True) for shape in ((0, 4, 3, 3), (4, 1, 2, 2), (2,)))
    out = F.conv_transpose2d(x, weight, bias, stride=2, groups=2)
    assert out.shape == (0, 2, 6, 6)
    out.sum().backward()
    assert x.grad.shape == (0, 4, 3, 3)
    assert not weight.grad.any()


BAD_SHAPES = [
    ((2, 3, 5), (3, 4, 2, 2), (4,), r"x must be images \(N, C, H, W\), where only N may be 0, not \(2, 3, 5\)"),
    ((2, 3, 0, 5), (3, 4, 2, 2), (4,), r"x must be images"),
    ((2, 3, 5, 5), (3, 4, 2), (4,), r"weight must be filters"),
    ((2, 3, 5, 5), (3, 0, 2, 2), (0,), r"weight must be filters"),
    ((2, 3, 5, 5), (4, 3, 2, 2), (3,), r"the 3 channels of x .* must be the first length of weight \(4, 3, 2, 2\)"),
    ((2, 3, 5, 5), (3, 4, 2, 2), (3,), r"bias must be \(4,\)"),
]


@pytest.mark.parametrize(("x", "weight", "bias", "message"), BAD_SHAPES)
def test_bad_shapes(x, weight, bias, message):
    with pytest.raises(ValueError, match=rf"^conv_transpose2d: .*{message}"):
        F.conv_transpose2d(np.ones(x), np.ones(weight), np.ones(bias))


BAD_SETTINGS = [
    ({"stride": 0}, r"stride=0 must be a whole number of at least 1"),
    ({"padding": -1}, r"padding=-1 must be a whole number of at least 0"),
    ({"padding": 2}, r"gives images of \(0, 0\) pixels"),
    ({"padding": "same"}, r"padding='same'"),
    ({"dilation": (1, 2, 3)}, r"dilation=\(1, 2, 3\)"),
    ({"output_padding": 1}, r"output_padding=1 must be smaller than stride=\(1, 1\) or dilation=\(1, 1\)"),
    ({"output_padding": -1, "stride": 2}, r"output_padding=-1"),
    ({"groups": 3}, r"groups=3 must divide"),
    ({"groups": 0}, r"groups=0"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=rf"^conv_transpose2d: .*{message}"):
        F.conv_transpose2d(np.ones((1, 2, 3, 3)), np.ones((2, 2, 2, 2)), **settings)


def test_bad_dtypes():
    x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))
    with pytest.raises(TypeError, match=r"^conv_transpose2d: .*float32, float64"):
        F.conv_transpose2d(x.astype(np.float32), weight)
