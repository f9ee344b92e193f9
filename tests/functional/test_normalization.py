"""Normalization against its definitions, finite differences, PyTorch and bad input."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.functional.normalization import channel_moments
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes

sides = st.integers(1, 4)
rows = st.tuples(st.integers(2, 5), sides)                               # at least two elements per channel
images = st.tuples(sides, sides, sides, st.integers(2, 4)) | st.tuples(st.integers(2, 4), sides, sides, sides)
EPS = 1e-3


def values(shape, seed):
    """x, weight, bias, mean, and a positive var."""
    c = shape[1:2]
    x, weight, bias, mean, var = distinct_values(shape, c, c, c, c, seed=seed)
    return x, weight, bias, mean, var + 1.5


@given(shape=rows | images, layout=layouts, seed=seeds)
def test_forward_in_training(xp, shape, layout, seed):
    x, weight, bias, _, _ = values(shape, seed)
    out = F.batch_norm(*(layout(xp.asarray(a)) for a in (x, weight, bias)), eps=EPS)
    expected = reference.batch_norm(x, weight, bias, None, None, EPS)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-9, atol=1e-11)


@given(shape=rows | images, layout=layouts, seed=seeds)
def test_forward_with_constants(xp, shape, layout, seed):
    x, weight, bias, mean, var = values(shape, seed)
    ours = [layout(xp.asarray(a)) for a in (x, weight, bias, mean, var)]
    out = F.batch_norm(*ours[:3], mean=ours[3], var=ours[4], training=False, eps=EPS)
    expected = reference.batch_norm(x, weight, bias, mean, var, EPS)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-9, atol=1e-11)


@given(shape=rows | images, layout=layouts, seed=seeds)
def test_gradients_in_training(xp, shape, layout, seed):
    inputs = [layout(xp.asarray(a)) for a in values(shape, seed)[:3]]
    check_gradients(lambda x, weight, bias: F.batch_norm(x, weight, bias, eps=EPS), *inputs, seed=seed)
    check_gradients(lambda x: F.batch_norm(x, None, None, eps=EPS), inputs[0], seed=seed)


@given(shape=rows | images, layout=layouts, seed=seeds)
def test_gradients_with_moments_given(xp, shape, layout, seed):
    """The layer passes the moments that it has computed; the gradient still includes their dependence on x."""
    inputs = [layout(xp.asarray(a)) for a in values(shape, seed)[:3]]

    def with_moments(x, weight, bias):
        mean, var = channel_moments(x.data)
        return F.batch_norm(x, weight, bias, mean=mean, var=var, eps=EPS)
    check_gradients(with_moments, *inputs, seed=seed)


@given(shape=rows | images, layout=layouts, seed=seeds)
def test_gradients_with_constants(xp, shape, layout, seed):
    *inputs, mean, var = (layout(xp.asarray(a)) for a in values(shape, seed))

    def constant(x, weight, bias):
        constants = {"mean": mean.astype(x.dtype), "var": var.astype(x.dtype)}
        return F.batch_norm(x, weight, bias, **constants, training=False, eps=EPS)
    check_gradients(constant, *inputs, seed=seed)


def fused_and_apart(x, *others, adds, relu, ceiling, affine, training):
    """F.batch_norm with its settings, and the same by F.batch_norm, + and F.relu; `others` as from `values`."""
    weight, bias, add, mean, var = others
    settings = {"training": training, "eps": EPS} | ({} if training else {"mean": mean.data, "var": var.data})
    weight, bias = (weight, bias) if affine else (None, None)
    fused = F.batch_norm(x, weight, bias, add if adds else None, **settings, relu=relu,
                         ceiling=ceiling if relu else None)
    apart = F.batch_norm(x, weight, bias, **settings)
    apart = apart + add if adds else apart
    return fused, F.relu(apart, ceiling=ceiling) if relu else apart


dtypes = st.sampled_from(["float32", "float64"])
combinations = st.fixed_dictionaries(dict.fromkeys(("adds", "relu", "affine", "training"), st.booleans())
                                     | {"ceiling": st.sampled_from([None, 0.3, 6])})


@given(shape=rows | images, case=combinations, layout=layouts, dtype=dtypes, seed=seeds)
def test_fused_and_unfused_give_the_same_bits(xp, shape, case, layout, dtype, seed):
    x, weight, bias, mean, var = values(shape, seed)
    add, grad = distinct_values(shape, shape, seed=seed + 1)
    arrays = [layout(xp.asarray(a.astype(dtype))) for a in (x, weight, bias, add, mean, var)]
    results = []
    for which in (0, 1):
        inputs = [Tensor(a, requires_grad=True) for a in arrays]
        out = fused_and_apart(*inputs, **case)[which]
        out.backward(layout(xp.asarray(grad.astype(dtype))))
        assert out.dtype == dtype
        results.append([out.numpy(), *(Tensor(t.grad).numpy() for t in inputs if t.grad is not None)])
    assert len(results[0]) == len(results[1]) == 2 + case["adds"] + 2 * case["affine"]
    for fused, apart in zip(*results, strict=True):
        np.testing.assert_array_equal(fused, apart)


def values_off_the_kink(shape, seed):
    """As `values`, with a shortcut, so that no sum is near 0: every channel of x alternates between 4 and -4."""
    x, weight, bias, mean, var = values(shape, seed)
    places = np.arange(x.size // shape[1]).reshape(shape[0], 1, *shape[2:])
    add, = distinct_values(shape, seed=seed + 1)
    return x + 4 - 8 * (places % 2), weight + np.sign(weight), bias / 100, 40 * np.sign(add), mean, var


@given(shape=rows | images, case=combinations, layout=layouts, seed=seeds)
def test_gradients_of_the_fused(xp, shape, case, layout, seed):
    x, weight, bias, add, mean, var = (layout(xp.asarray(a)) for a in values_off_the_kink(shape, seed))
    affine, adds = ([weight, bias] if case["affine"] else []), ([add] if case["adds"] else [])

    def fused(x, *others):
        constants = {} if case["training"] else {"mean": mean.astype(x.dtype), "var": var.astype(x.dtype)}
        weight_and_bias, add = (others[:2], others[2:]) if affine else ((None, None), others)
        return F.batch_norm(x, *weight_and_bias, *add, **constants, training=case["training"], eps=EPS,
                            relu=case["relu"], ceiling=case["ceiling"] if case["relu"] else None)
    check_gradients(fused, x, *affine, *adds, seed=seed)


def test_no_gradient_passes_at_either_bound_of_a_relu_with_a_ceiling(xp):
    """As in PyTorch: outputs of exactly 0 or the ceiling count as outside."""
    x = Tensor(xp.asarray(np.array([[-1.0], [0], [1], [5], [6], [7]])), requires_grad=True)
    out = F.batch_norm(x, None, None, mean=xp.zeros(1), var=xp.ones(1), training=False, eps=0, relu=True, ceiling=6)
    out.sum().backward()
    np.testing.assert_array_equal(out.numpy()[:, 0], [0, 0, 1, 5, 6, 6])
    np.testing.assert_array_equal(Tensor(x.grad).numpy()[:, 0], [0, 0, 1, 1, 0, 0])


@given(shape=rows | images, layout=layouts, seed=seeds)
def test_channel_moments(xp, shape, layout, seed):
    x, = distinct_values(shape, seed=seed)
    mean, var = channel_moments(layout(xp.asarray(x)))
    channels = [x[:, c].ravel() for c in range(shape[1])]
    np.testing.assert_allclose(Tensor(mean).numpy(), [sum(c) / len(c) for c in channels], atol=1e-12)
    np.testing.assert_allclose(Tensor(var).numpy(), [np.var(c) for c in channels], rtol=1e-9)


def test_a_large_mean_does_not_reduce_accuracy(xp):
    """The mean of squares minus the square of the mean would be mostly rounding error here."""
    x, = distinct_values((4, 3, 5, 5), seed=0, dtype=np.float32)
    _, var = channel_moments(xp.asarray(x + np.float32(1000)))
    np.testing.assert_allclose(Tensor(var).numpy(), x.var((0, 2, 3)), rtol=1e-3)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    x, weight, bias, mean, var = values((3, 4, 5, 2), 0)
    for training in (True, False):
        constants = {} if training else {"mean": mean, "var": var}
        ours = F.batch_norm(x, weight, bias, training=training, **constants)
        theirs = torch.nn.functional.batch_norm(*map(torch.tensor, (x, mean, var, weight, bias)), training=training)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-8, atol=1e-10)


def test_an_empty_batch(xp):
    x = Tensor(xp.ones((0, 3, 2, 2)), requires_grad=True)
    out = F.batch_norm(x, None, None, mean=xp.zeros(3), var=xp.ones(3), training=False)
    out.sum().backward()
    assert out.shape == x.grad.shape == (0, 3, 2, 2)
    with pytest.raises(ValueError, match=r"^batch_norm: x \(0, 3, 2, 2\) has .* training needs at least two"):
        F.batch_norm(x, None, None)


BAD_SHAPES = [
    ((2, 3, 4), (3,), (3,), r"x must be images \(N, C, H, W\), not \(2, 3, 4\)"),
    ((2, 3), (2,), (3,), r"weight \(2,\) must be \(3,\)"),
    ((2, 3), (3,), (3, 1), r"bias \(3, 1\) must be \(3,\)"),
    ((1, 3), (3,), (3,), r"x \(1, 3, 1, 1\) has 1 elements per channel; training needs at least two"),
]


@pytest.mark.parametrize(("x", "weight", "bias", "message"), BAD_SHAPES)
def test_bad_shapes(x, weight, bias, message):
    with pytest.raises(ValueError, match=rf"^batch_norm: {message}"):
        F.batch_norm(np.ones(x), np.ones(weight), np.ones(bias))


@pytest.mark.parametrize(("settings", "message"), [
    ({"ceiling": 6}, r"ceiling=6 needs relu=True"),
    ({"relu": True, "ceiling": 0}, r"ceiling=0 must be larger than 0"),
    ({"relu": True, "ceiling": -1.5}, r"ceiling=-1.5 must be larger than 0"),
    ({"relu": True, "ceiling": float("nan")}, r"ceiling=nan must be a finite number"),
    ({"relu": True, "ceiling": "6"}, r"ceiling='6' must be a finite number"),
])
def test_bad_ceilings(settings, message):
    with pytest.raises(ValueError, match=f"^batch_norm: {message}"):
        F.batch_norm(np.ones((2, 3)), None, None, **settings)


def test_bad_constants():
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"^batch_norm: mean \(2,\) must be \(3,\)"):
        F.batch_norm(x, None, None, mean=np.ones(2), var=np.ones(3))
    with pytest.raises(ValueError, match=r"^batch_norm: training=False needs mean and var"):
        F.batch_norm(x, None, None, mean=np.ones(3), training=False)
    with pytest.raises(ValueError, match=r"^batch_norm: add \(3,\) must have the shape of x, \(2, 3\)"):
        F.batch_norm(x, None, None, np.ones(3))
    with pytest.raises(TypeError, match=r"^batch_norm: its inputs have dtypes float64, float32"):
        F.batch_norm(x, None, None, np.ones((2, 3), np.float32))
    with pytest.raises(TypeError, match=r"^batch_norm: its inputs have dtypes float64, float32"):
        F.batch_norm(x, np.ones(3, np.float32), None)
    with pytest.raises(TypeError, match=r"^batch_norm: x must hold floats, not int64"):
        F.batch_norm(np.ones((2, 3), int), None, None)


@st.composite
def layer_norms(draw):
    """A shape of x, and the number of last axes that are normalized together: at least two elements."""
    shape = (*draw(shapes(max_dims=3)), draw(st.integers(2, 5)))
    return shape, draw(st.integers(1, len(shape)))


@st.composite
def group_norms(draw):
    """A shape (N, C, ...), and a number of groups of at least two elements each."""
    groups, channels = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    return (draw(st.integers(1, 3)), groups * channels, *draw(shapes(max_dims=2))), groups


@given(case=layer_norms(), affine=st.booleans(), layout=layouts, seed=seeds)
def test_layer_norm(xp, case, affine, layout, seed):
    shape, axes = case
    last = shape[-axes:]
    x, weight, bias = distinct_values(shape, last, last, seed=seed)
    ours = [layout(xp.asarray(a)) for a in ((x, weight, bias) if affine else (x,))]
    out = F.layer_norm(ours[0], last, *ours[1:], eps=EPS)
    expected = np.empty(shape)
    for place in np.ndindex(shape[:-axes]):
        expected[place] = reference.standardized(x[place], EPS)
    np.testing.assert_allclose(out.numpy(), expected * weight + bias if affine else expected, rtol=1e-9, atol=1e-11)
    check_gradients(lambda x, *others: F.layer_norm(x, last, *others, eps=EPS), *ours, seed=seed)


@given(case=group_norms(), affine=st.booleans(), layout=layouts, seed=seeds)
def test_group_norm(xp, case, affine, layout, seed):
    shape, groups = case
    x, weight, bias = distinct_values(shape, shape[1:2], shape[1:2], seed=seed)
    ours = [layout(xp.asarray(a)) for a in ((x, weight, bias) if affine else (x,))]
    out = F.group_norm(ours[0], groups, *ours[1:], eps=EPS)
    expected, size = np.empty(shape), shape[1] // groups
    for n, g in np.ndindex(shape[0], groups):
        some = slice(g * size, (g + 1) * size)
        expected[n, some] = reference.standardized(x[n, some], EPS)
    each = (slice(None), *(None,) * (len(shape) - 2))
    np.testing.assert_allclose(out.numpy(), expected * weight[each] + bias[each] if affine else expected,
                               rtol=1e-9, atol=1e-11)
    check_gradients(lambda x, *others: F.group_norm(x, groups, *others, eps=EPS), *ours, seed=seed)


@given(shape=images, size=st.integers(1, 6), alpha=st.floats(0, 5), beta=st.sampled_from([0.5, 0.75, 1.0]),
       k=st.floats(0.5, 3), layout=layouts, seed=seeds)
def test_local_response_norm(xp, shape, size, alpha, beta, k, layout, seed):
    x, = distinct_values(shape, seed=seed)
    x_here = layout(xp.asarray(x))
    out = F.local_response_norm(x_here, size, alpha, beta, k)
    expected = reference.local_response_norm(x, size, alpha, beta, k)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-9, atol=1e-11)
    check_gradients(lambda x: F.local_response_norm(x, size, alpha, beta, k), x_here, seed=seed)


def test_other_norms_of_an_empty_batch(xp):
    for norm in (lambda x: F.layer_norm(x, (4,)), lambda x: F.group_norm(x, 3), lambda x: F.local_response_norm(x, 5)):
        x = Tensor(xp.ones((0, 6, 2, 4)), requires_grad=True)
        out = norm(x)
        out.sum().backward()
        assert out.shape == x.grad.shape == (0, 6, 2, 4)


def test_a_large_mean_does_not_reduce_the_accuracy_of_layer_norm(xp):
    x, = distinct_values((4, 300), seed=0)
    out = F.layer_norm(xp.asarray((x + 100).astype(np.float32)), 300)
    np.testing.assert_allclose(out.numpy(), [reference.standardized(row, 1e-5) for row in x], atol=1e-4)


@pytest.mark.parametrize(("function", "settings", "message"), [
    (F.layer_norm, ((3,),), r"layer_norm: x \(2, 6, 4, 4\) must end in normalized_shape=\(3,\)"),
    (F.layer_norm, ((),), r"layer_norm: x \(2, 6, 4, 4\) must end in normalized_shape=\(\)"),
    (F.layer_norm, (4, np.ones(3)), r"layer_norm: weight \(3,\) must be \(4,\) for x \(2, 6, 4, 4\)"),
    (F.group_norm, (4,), r"group_norm: num_groups=4 must divide the 6 channels of x \(2, 6, 4, 4\)"),
    (F.group_norm, (0,), r"group_norm: num_groups=0 must divide"),
    (F.group_norm, (2, None, np.ones(2)), r"group_norm: bias \(2,\) must be \(6,\) for x \(2, 6, 4, 4\)"),
    (F.local_response_norm, (0,), r"local_response_norm: size=0 must be a whole number of at least 1"),
    (F.local_response_norm, (5, float("nan")), r"local_response_norm: alpha=nan must be a finite number"),
])
def test_bad_settings_of_the_other_norms(function, settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        function(np.ones((2, 6, 4, 4)), *settings)


def test_bad_inputs_of_the_other_norms():
    with pytest.raises(ValueError, match=r"^group_norm: x must be \(N, C, ...\), where only N may be 0, not \(3,\)"):
        F.group_norm(np.ones(3), 1)
    with pytest.raises(ValueError, match=r"^local_response_norm: x must be images \(N, C, H, W\), not \(2, 3\)"):
        F.local_response_norm(np.ones((2, 3)), 5)
    for function in (F.layer_norm, F.group_norm, F.local_response_norm):
        with pytest.raises(TypeError, match=rf"^{function.__name__}: .*float"):
            function(np.ones((2, 3, 4, 4), int), 1 if function is F.group_norm else 4)
    with pytest.raises(TypeError, match=r"^group_norm: its inputs have dtypes float64, float32"):
        F.group_norm(np.ones((2, 3)), 1, np.ones(3, np.float32))
