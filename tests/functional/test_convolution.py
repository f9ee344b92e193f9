"""F.conv2d against naive loops, finite differences and bad input."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import convolutions, distinct_values, layouts, seeds


@given(case=convolutions(), layout=layouts, seed=seeds, biased=st.booleans())
def test_forward(xp, case, layout, seed, biased):
    x, weight, bias = distinct_values(case.x, case.weight, case.bias, seed=seed)
    inputs = [layout(xp.asarray(a)) for a in (x, weight, bias)[:2 + biased]]
    out = F.conv2d(*inputs, **case.settings)
    expected = reference.conv2d(x, weight, bias if biased else None, **case.settings)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-10, atol=1e-12)


@given(case=convolutions(), layout=layouts, seed=seeds, biased=st.booleans())
def test_gradients(xp, case, layout, seed, biased):
    shapes = (case.x, case.weight, case.bias)[:2 + biased]
    inputs = [layout(xp.asarray(a)) for a in distinct_values(*shapes, seed=seed)]
    check_gradients(lambda *inputs: F.conv2d(*inputs, **case.settings), *inputs, seed=seed)


@given(case=convolutions(), seed=seeds)
def test_a_gradient_that_is_a_broadcast_view(xp, case, seed):
    """The gradient of sum() is a broadcast view of one element; it must work like any other gradient."""
    arrays = [xp.asarray(a) for a in distinct_values(case.x, case.weight, case.bias, seed=seed)]
    ours, theirs = [[Tensor(a, requires_grad=True) for a in arrays] for _ in range(2)]
    F.conv2d(*ours, **case.settings).sum().backward()
    out = F.conv2d(*theirs, **case.settings)
    out.backward(xp.ones_like(out.data))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(Tensor(a.grad).numpy(), Tensor(b.grad).numpy(), rtol=1e-10, atol=1e-12)


@given(case=convolutions(), layout=layouts, seed=seeds)
def test_relu_in_the_same_pass(xp, case, layout, seed):
    """Compared with separate operations, not with finite differences, since outputs may be near the kink."""
    arrays = [layout(xp.asarray(a)) for a in distinct_values(case.x, case.weight, case.bias, seed=seed)]
    ours, theirs = [[Tensor(a, requires_grad=True) for a in arrays] for _ in range(2)]
    fused, apart = F.conv2d(*ours, **case.settings, relu=True), F.relu(F.conv2d(*theirs, **case.settings))
    np.testing.assert_array_equal(fused.numpy(), apart.numpy())
    gradient = xp.asarray(*distinct_values(fused.shape, seed=seed))
    fused.backward(gradient)
    apart.backward(gradient)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(Tensor(a.grad).numpy(), Tensor(b.grad).numpy(), rtol=1e-10, atol=1e-12)


def test_relu_in_the_same_pass_lets_nan_through(xp):
    x = xp.asarray(np.array([np.nan, -1.0, 2.0]).reshape(1, 1, 1, 3))
    out = F.conv2d(x, xp.asarray(np.ones((1, 1, 1, 1))), relu=True)
    np.testing.assert_array_equal(out.numpy().ravel(), [np.nan, 0, 2])


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((2, 4, 9, 7)), rng.standard_normal((6, 2, 3, 2)), rng.standard_normal(6)
    settings = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
    theirs = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, weight, bias)), **settings)
    np.testing.assert_allclose(F.conv2d(x, weight, bias, **settings).numpy(), theirs.numpy(), rtol=1e-10)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [(2, 4), (3, 2)])
def test_torch_agrees_on_the_odd_pixel_of_same_padding(kernel):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 2, 5, 6)), rng.standard_normal((3, 2, *kernel))
    theirs = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(weight), padding="same", dilation=3)
    np.testing.assert_allclose(F.conv2d(x, weight, padding="same", dilation=3).numpy(), theirs.numpy(), rtol=1e-10)


def test_an_empty_batch(xp):
    """As in PyTorch: the output is empty and the gradient of the weight is zero."""
    x, weight, bias = (Tensor(xp.ones(shape), requires_grad=True) for shape in ((0, 2, 5, 5), (4, 1, 3, 3), (4,)))
    out = F.conv2d(x, weight, bias, padding=1, groups=2)
    assert out.shape == (0, 4, 5, 5)
    out.sum().backward()
    assert x.grad.shape == (0, 2, 5, 5)
    assert weight.grad.shape == (4, 1, 3, 3)
    assert not weight.grad.any()
    assert not bias.grad.any()


def test_float32_stays_float32(xp):
    x, weight = xp.ones((1, 1, 3, 3), dtype=xp.float32), xp.ones((1, 1, 2, 2), dtype=xp.float32)
    assert F.conv2d(x, weight).dtype == np.float32


BAD_SHAPES = [
    ((2, 3, 5), (4, 3, 3, 3), (4,), r"x must be images \(N, C, H, W\), not \(2, 3, 5\)"),
    ((2, 3, 5, 5), (4, 3, 3), (4,), r"weight must be filters"),
    ((2, 3, 5, 5), (0, 3, 3, 3), (0,), r"weight must be filters"),
    ((2, 3, 5, 5), (4, 2, 3, 3), (4,), r"weight \(4, 2, 3, 3\) needs 2 channels per group, but x \(2, 3, 5, 5\) has 3"),
    ((2, 3, 5, 5), (4, 3, 3, 3), (3,), r"bias must be \(4,\)"),
    ((2, 3, 5, 5), (4, 3, 3, 3), (4, 1), r"bias must be \(4,\)"),
    ((2, 3, 5, 5), (4, 3, 6, 3), (4,), r"a window that spans \(6, 3\) does not fit images of \(5, 5\)"),
]


@pytest.mark.parametrize(("x", "weight", "bias", "message"), BAD_SHAPES)
def test_bad_shapes(x, weight, bias, message):
    with pytest.raises(ValueError, match=rf"^conv2d: .*{message}"):
        F.conv2d(np.ones(x), np.ones(weight), np.ones(bias))


BAD_SETTINGS = [
    ({"stride": 0}, r"stride=0 must be a whole number of at least 1"),
    ({"stride": 1.5}, r"stride=1\.5"),
    ({"stride": (1, 2, 3)}, r"stride=\(1, 2, 3\)"),
    ({"padding": -1}, r"padding=-1 must be a whole number of at least 0"),
    ({"padding": "some"}, r"padding='some'"),
    ({"padding": "same", "stride": 2}, r"padding='same' needs stride 1"),
    ({"dilation": 0}, r"dilation=0"),
    ({"dilation": 4}, r"spans \(9, 9\) does not fit"),
    ({"groups": 3}, r"groups=3"),
    ({"groups": 0}, r"groups=0"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=rf"^conv2d: .*{message}"):
        F.conv2d(np.ones((1, 2, 5, 5)), np.ones((2, 2, 3, 3)), **settings)


def test_groups_must_divide_the_filters():
    with pytest.raises(ValueError, match=r"^conv2d: .*groups must divide the 3 filters"):
        F.conv2d(np.ones((1, 2, 5, 5)), np.ones((3, 1, 3, 3)), groups=2)


def test_bad_dtypes():
    x, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3))
    with pytest.raises(TypeError, match=r"^conv2d: .*float32, float64"):
        F.conv2d(x.astype(np.float32), weight)
    with pytest.raises(TypeError, match=r"^conv2d: .*same floating-point dtype"):
        F.conv2d(x.astype(int), weight.astype(int))
