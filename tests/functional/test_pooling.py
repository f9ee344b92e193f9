"""Pooling against naive loops, finite differences and bad input."""

import itertools
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


@given(case=poolings(dilated=True), layout=layouts, seed=seeds)
def test_max_pool2d(xp, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    expected, _ = reference.max_pool2d(x, **case.settings)
    np.testing.assert_array_equal(F.max_pool2d(layout(xp.asarray(x)), **case.settings).numpy(), expected)


@given(case=poolings(), layout=layouts, seed=seeds)
def test_avg_pool2d(xp, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    expected = reference.avg_pool2d(x, **case.settings)
    np.testing.assert_allclose(F.avg_pool2d(layout(xp.asarray(x)), **case.settings).numpy(), expected, atol=1e-12)


def begins_in_ceil_mode(n, kernel, stride, padding, dilation):
    """Where windows begin: up to the first that reaches the end of the padded image, but never beyond the image."""
    begins = [-padding]
    while begins[-1] + dilation * (kernel - 1) + 1 < n + padding and begins[-1] + stride < n:
        begins.append(begins[-1] + stride)
    return begins


def settings_of(case):
    """kernel, stride, padding and dilation, all as pairs."""
    kernel, stride, padding, dilation = (case.settings.get(name, 1) for name in (
        "kernel_size", "stride", "padding", "dilation"))
    return list(map(reference.pair, (kernel, stride or kernel, padding, dilation)))


@given(case=poolings(dilated=True), layout=layouts, seed=seeds)
def test_max_pool2d_in_ceil_mode(xp, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    kernel, stride, padding, dilation = settings_of(case)
    begins = [begins_in_ceil_mode(*axis) for axis in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)]
    behind = [b[-1] + d * (k - 1) + 1 - n for b, k, d, n in zip(begins, kernel, dilation, x.shape[2:], strict=True)]
    expected, _ = reference.max_pool2d(x, kernel, stride, tuple(zip(padding, behind, strict=True)), dilation)
    assert expected.shape[2:] == tuple(map(len, begins))
    out = F.max_pool2d(layout(xp.asarray(x)), **case.settings, ceil_mode=True)
    np.testing.assert_array_equal(out.numpy(), expected)


@given(case=poolings(), ceil=st.booleans(), include=st.booleans(), divisor=st.none() | st.sampled_from([3, -2]),
       layout=layouts, seed=seeds)
def test_the_divisor_of_avg_pool2d(xp, case, ceil, include, divisor, layout, seed):
    """The pixels that count are those of the image, and with `count_include_pad` those of the given padding."""
    x, = distinct_values(case.x, seed=seed)
    kernel, stride, padding, _ = settings_of(case)
    begins = [begins_in_ceil_mode(n, k, s, p, 1) if ceil else range(-p, n + p - k + 1, s)
              for n, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True)]
    expected = np.empty((*x.shape[:2], *map(len, begins)))
    for (y, top), (z, left) in itertools.product(*map(enumerate, begins)):
        seen = [(row, column) for row in range(top, top + kernel[0]) for column in range(left, left + kernel[1])]
        image = [(r, c) for r, c in seen if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]]
        padded = [(r, c) for r, c in seen if r < x.shape[2] + padding[0] and c < x.shape[3] + padding[1]]
        expected[:, :, y, z] = sum(x[:, :, r, c] for r, c in image) / (divisor or len(padded if include else image))
    out = F.avg_pool2d(layout(xp.asarray(x)), **case.settings, ceil_mode=ceil, count_include_pad=include,
                       divisor_override=divisor)
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-12)


@given(case=adaptive, layout=layouts, seed=seeds)
def test_adaptive_max_pool2d(xp, case, layout, seed):
    shape, (oh, ow) = case
    x, = distinct_values(shape, seed=seed)
    out = F.adaptive_max_pool2d(layout(xp.asarray(x)), (oh, ow)).numpy()
    assert out.shape == (*shape[:2], oh, ow)
    for y, z in np.ndindex(oh, ow):
        rows = slice(math.floor(y * shape[2] / oh), math.ceil((y + 1) * shape[2] / oh))
        columns = slice(math.floor(z * shape[3] / ow), math.ceil((z + 1) * shape[3] / ow))
        np.testing.assert_array_equal(out[:, :, y, z], x[:, :, rows, columns].max((2, 3)))


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


@given(case=poolings(dilated=True), layout=layouts, seed=seeds)
def test_max_pool2d_gradients_in_ceil_mode(xp, case, layout, seed):
    x, = distinct_values(case.x, seed=seed)

    def pool(x):                                        # dilated windows may contain only padding: -inf
        return F.clamp(F.max_pool2d(x, **case.settings, ceil_mode=True), min=-2)
    check_gradients(pool, layout(xp.asarray(x)), seed=seed)


@given(case=poolings(dilated=True), ceil=st.booleans(), layout=layouts, seed=seeds)
def test_max_pool2d_with_relu(xp, case, ceil, layout, seed):
    """Output and gradients are those of pooling relu(x)."""
    x, = distinct_values(case.x, seed=seed)
    settings = {**case.settings, "ceil_mode": ceil}
    expected = F.max_pool2d(F.relu(xp.asarray(x)), **settings)
    out = F.max_pool2d(layout(xp.asarray(x)), **settings, relu=True)
    np.testing.assert_array_equal(out.numpy(), np.maximum(expected.numpy(), 0))          # dilated windows may miss x
    check_gradients(partial(F.max_pool2d, **settings, relu=True), layout(xp.asarray(x)), seed=seed)


@given(case=poolings(), ceil=st.booleans(), divisor=st.none() | st.just(3), layout=layouts, seed=seeds)
def test_avg_pool2d_gradients_of_other_divisors(xp, case, ceil, divisor, layout, seed):
    x, = distinct_values(case.x, seed=seed)
    pool = partial(F.avg_pool2d, **case.settings, ceil_mode=ceil, count_include_pad=False, divisor_override=divisor)
    check_gradients(pool, layout(xp.asarray(x)), seed=seed)


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
@given(case=adaptive, layout=layouts, seed=seeds)
def test_adaptive_gradients(xp, pool, case, layout, seed):
    shape, size = case
    x, = distinct_values(shape, seed=seed)
    check_gradients(partial(pool, output_size=size), layout(xp.asarray(x)), seed=seed)


@pytest.mark.parametrize("pool", POOLINGS)
@given(case=poolings(), seed=seeds)
def test_a_gradient_that_is_a_broadcast_view(xp, pool, case, seed):
    """The gradient of sum() is a broadcast view of one element; it must work like any other gradient."""
    x, = distinct_values(case.x, seed=seed)
    ours, theirs = (Tensor(xp.asarray(x), requires_grad=True) for _ in range(2))
    pool(ours, **case.settings).sum().backward()
    out = pool(theirs, **case.settings)
    out.backward(xp.ones_like(out.data))
    np.testing.assert_allclose(Tensor(ours.grad).numpy(), Tensor(theirs.grad).numpy(), atol=1e-12)


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_adaptive_pooling_keeps_a_length_given_as_none(xp, pool):
    x = xp.ones((1, 2, 5, 7))
    assert pool(x, (None, 3)).shape == (1, 2, 5, 3)
    assert pool(x, 1).shape == (1, 2, 1, 1)


@pytest.mark.parametrize("size", [2, 3])
def test_adaptive_max_pool2d_keeps_float32_and_nan(xp, size):
    numbers = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    numbers[0, 0, 3, 3] = math.nan
    x = Tensor(xp.asarray(numbers), requires_grad=True)
    out = F.adaptive_max_pool2d(x, size)
    out.backward(xp.ones_like(out.data))
    assert out.dtype == x.grad.dtype == np.float32
    assert math.isnan(out.numpy()[0, 0, -1, -1])
    assert Tensor(x.grad).numpy()[0, 0, 3, 3] == 1


def test_the_first_of_equal_maxima_receives_the_gradient_of_max_pool2d(xp):
    x = Tensor(xp.ones((1, 1, 2, 2)), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [[[[1, 0], [0, 0]]]])


def test_padding_is_never_the_maximum(xp):
    x = xp.full((1, 1, 2, 2), -5.0)
    np.testing.assert_array_equal(F.max_pool2d(x, 2, stride=1, padding=1).numpy(), np.full((1, 1, 3, 3), -5))


@pytest.mark.parametrize("place", range(4))
def test_nan_propagates_through_max_pool2d(xp, place):
    """From any position of the window; and it receives the gradient."""
    numbers = np.array([1.0, 2, 3, 4])
    numbers[place] = math.nan
    x = Tensor(xp.asarray(numbers.reshape(1, 1, 2, 2)), requires_grad=True)
    out = F.max_pool2d(x, 2)
    assert math.isnan(out.item())
    out.backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy().reshape(4), np.arange(4) == place)


def test_max_pool2d_of_a_window_of_more_than_256_positions(xp):
    """Positions do not fit into 8 bits."""
    x, = distinct_values((1, 1, 20, 20), seed=0)
    ours = Tensor(xp.asarray(x), requires_grad=True)
    F.max_pool2d(ours, 20).sum().backward()
    np.testing.assert_array_equal(Tensor(ours.grad).numpy(), x == x.max())


@pytest.mark.parametrize("pool", [*(partial(p, kernel_size=2) for p in POOLINGS),
                                  partial(F.adaptive_avg_pool2d, output_size=2),
                                  partial(F.adaptive_avg_pool2d, output_size=3),
                                  partial(F.adaptive_max_pool2d, output_size=2),
                                  partial(F.adaptive_max_pool2d, output_size=3)])
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


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 1), ((2, 3), (3, 1), (1, 0)),
                                                           (4, 5, 2), (1, 4, 0)])
def test_torch_agrees_on_every_setting(kernel, stride, padding, ceil):
    torch = pytest.importorskip("torch")
    for size in itertools.product(range(5, 10), (5, 8)):
        x = np.random.default_rng(0).standard_normal((2, 17, *size))
        cases = [("max_pool2d", (kernel, stride, padding, dilation, ceil)) for dilation in (1, (1, 2))]
        cases += [("avg_pool2d", (kernel, stride, padding, ceil, include, divisor))
                  for include in (True, False) for divisor in (None, 3)]
        for name, settings in cases:
            ours, theirs = Tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
            out, expected = getattr(F, name)(ours, *settings), getattr(torch.nn.functional, name)(theirs, *settings)
            grad = np.random.default_rng(1).standard_normal(out.shape)
            np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), atol=1e-12, err_msg=f"{name} {settings}")
            out.backward(grad)
            expected.backward(torch.from_numpy(grad))
            np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), atol=1e-12, err_msg=f"{name} {settings}")
    for size in [(4, 3), (None, 5), (13, 8), 1]:
        theirs = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(x), size)
        np.testing.assert_array_equal(F.adaptive_max_pool2d(x, size).numpy(), theirs.numpy())


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


@pytest.mark.parametrize("divisor", [0, 1.5, "2"])
def test_bad_divisors(divisor):
    with pytest.raises(ValueError, match=r"^avg_pool2d: divisor_override=.* must be a whole number other than 0"):
        F.avg_pool2d(np.ones((1, 1, 4, 4)), 2, divisor_override=divisor)


def test_bad_dilation():
    with pytest.raises(ValueError, match=r"^max_pool2d: dilation=0"):
        F.max_pool2d(np.ones((1, 1, 4, 4)), 2, dilation=0)
    with pytest.raises(ValueError, match=r"^max_pool2d: a window that spans \(5, 5\) does not fit"):
        F.max_pool2d(np.ones((1, 1, 4, 4)), 3, stride=1, dilation=2, ceil_mode=True)


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
@pytest.mark.parametrize("size", [0, (1, 2, 3), 1.5])
def test_bad_output_sizes(pool, size):
    with pytest.raises(ValueError, match=rf"^{pool.__name__}: output_size=.* must be a whole number of at least 1"):
        pool(np.ones((1, 1, 4, 4)), size)


@pytest.mark.parametrize("pool", [*POOLINGS, F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_bad_images(pool):
    with pytest.raises(ValueError, match=rf"^{pool.__name__}: x must be images \(N, C, H, W\), not \(1, 4, 4\)"):
        pool(np.ones((1, 4, 4)), 2)
    with pytest.raises(TypeError, match=rf"^{pool.__name__}: x must hold floats, not int64"):
        pool(np.ones((1, 1, 4, 4), int), 2)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_ceil_mode_if_the_first_window_is_larger_than_the_image(size):
    """As in PyTorch, it may exceed the edge by less than the stride."""
    x = np.arange(1.0, size * size + 1).reshape(1, 1, size, size)
    if size == 1:
        with pytest.raises(ValueError, match="max_pool2d: a window that spans"):
            F.max_pool2d(x, 3, 2, ceil_mode=True)
        return
    out = F.max_pool2d(x, 3, 2, ceil_mode=True).data
    assert out.shape[2:] == {2: (1, 1), 3: (1, 1), 4: (2, 2)}[size]
    assert out[0, 0, -1, -1] == size * size
    assert F.avg_pool2d(x, 3, 2, ceil_mode=True).shape == out.shape
