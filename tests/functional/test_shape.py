"""Operations that rearrange elements, against NumPy's, finite differences and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import distinct_values, layouts, seeds, shapes

positions = st.integers(0, 2**16)                        # an axis or position, taken modulo their number


def check(function, expected, x, seed):
    """Check the output against NumPy's, and the gradient."""
    np.testing.assert_array_equal(function(Tensor(x)).numpy(), expected)
    check_gradients(function, x, seed=seed)


@given(shape=shapes(min_dims=1), start=positions, end=positions, layout=layouts, seed=seeds)
def test_flatten_and_reshape(xp, shape, start, end, layout, seed):
    start, end = sorted((start % len(shape), end % len(shape)))
    x, = distinct_values(shape, seed=seed)
    flat = (*shape[:start], -1, *shape[end + 1:])
    ours = layout(xp.asarray(x))
    check(lambda x: F.flatten(x, start, end), x.reshape(flat), ours, seed)
    check(lambda x: F.flatten(x, start - len(shape), end - len(shape)), x.reshape(flat), ours, seed)
    check(lambda x: F.reshape(x, shape=flat), x.reshape(flat), ours, seed)


@given(shape=shapes(), order=st.randoms(use_true_random=False), layout=layouts, seed=seeds)
def test_permute(xp, shape, order, layout, seed):
    axes = list(range(len(shape)))
    order.shuffle(axes)
    axes = tuple(axis - len(shape) * order.randint(0, 1) for axis in axes)            # some counted from the end
    x, = distinct_values(shape, seed=seed)
    check(lambda x: F.permute(x, axes=axes), x.transpose(axes), layout(xp.asarray(x)), seed)


@given(shape=shapes(min_dims=1), i=positions, j=positions, layout=layouts, seed=seeds)
def test_transpose(xp, shape, i, j, layout, seed):
    i, j = i % len(shape), j % len(shape) - len(shape)
    x, = distinct_values(shape, seed=seed)
    check(lambda x: F.transpose(x, i, j), x.swapaxes(i, j), layout(xp.asarray(x)), seed)


@given(shape=shapes(max_side=2), axis=positions, layout=layouts, seed=seeds)
def test_unsqueeze_and_squeeze(xp, shape, axis, layout, seed):
    axis = axis % (2 * len(shape) + 2) - len(shape) - 1
    x, = distinct_values(shape, seed=seed)
    ours, wider = layout(xp.asarray(x)), np.expand_dims(x, axis)
    check(lambda x: F.unsqueeze(x, axis), wider, ours, seed)
    check(lambda x: F.squeeze(F.unsqueeze(x, axis), axis), x, ours, seed)
    check(F.squeeze, x.squeeze(), ours, seed)


def test_squeeze_leaves_longer_axes(xp):
    """As PyTorch does, and NumPy does not."""
    assert F.squeeze(xp.ones((1, 2, 1)), (0, 1)).shape == (2, 1)


@given(shape=shapes(max_dims=3), extra=shapes(max_dims=2), times=st.integers(1, 3), layout=layouts, seed=seeds)
def test_expand(xp, shape, extra, times, layout, seed):
    x, = distinct_values(shape, seed=seed)
    full = extra + tuple(times if n == 1 else n for n in shape)
    with_minus_one = extra + tuple(times if n == 1 else -1 for n in shape)
    for lengths in (full, with_minus_one):
        check(lambda x: F.expand(x, shape=lengths), np.broadcast_to(x, full), layout(xp.asarray(x)), seed)


@given(case=shapes().flatmap(lambda s: st.tuples(st.just(s), hnp.basic_indices(s, allow_newaxis=True))),
       layout=layouts, seed=seeds)
def test_getitem_by_slices_integers_none_and_ellipsis(xp, case, layout, seed):
    shape, index = case
    x, = distinct_values(shape, seed=seed)
    check(lambda x: x[index], x[index], layout(xp.asarray(x)), seed)


@given(case=shapes(min_dims=1).flatmap(lambda s: st.tuples(st.just(s), hnp.integer_array_indices(s))),
       layout=layouts, seed=seeds)
def test_getitem_by_integer_arrays(xp, case, layout, seed):
    """They may select an element several times; its gradients are summed."""
    shape, index = case
    x, = distinct_values(shape, seed=seed)
    ours = tuple(Tensor(xp.asarray(i)) for i in index)
    check(lambda x: x[ours], x[index], layout(xp.asarray(x)), seed)
    check(lambda x: x[index[0].tolist()], x[index[0].tolist()], layout(xp.asarray(x)), seed)


@given(shape=shapes(min_dims=1), axes=positions, layout=layouts, seed=seeds)
def test_getitem_by_a_mask(xp, shape, axes, layout, seed):
    axes = axes % len(shape) + 1
    x, mask = distinct_values(shape, shape[:axes], seed=seed)
    ours = layout(xp.asarray(mask > 0))
    check(lambda x: x[ours], x[mask > 0], layout(xp.asarray(x)), seed)
    check(lambda x: x[Tensor(ours)], x[mask > 0], layout(xp.asarray(x)), seed)


def test_the_gradient_of_getitem_has_the_memory_order_of_its_input():
    """Channels-last images get channels-last gradients, which need no conversion."""
    x = Tensor(np.ones((2, 6, 5, 4)).transpose(0, 3, 1, 2), requires_grad=True)
    for index in (np.s_[:, :, ::2, ::2], np.s_[0], [1, 1]):
        x.grad = None
        x[index].sum().backward()
        assert x.grad.strides == x.data.strides


def test_getitem_mixed(xp):
    x, = distinct_values((4, 3, 5), seed=0)
    rows = np.array([0, 2, 2])
    check(lambda x: x[xp.asarray(rows), 1:, None, ...], x[rows, 1:, None, ...], xp.asarray(x), 0)
    check(lambda x: x[..., xp.asarray(rows)], x[..., rows], xp.asarray(x), 0)
    check(lambda x: x[[]], x[[]], xp.asarray(x), 0)
    check(lambda x: x[[True, False, True, False]], x[::2], xp.asarray(x), 0)


@given(shape=shapes(min_dims=1), axis=positions, lengths=st.lists(st.integers(0, 3), min_size=1, max_size=3),
       layout=layouts, seed=seeds)
def test_cat(xp, shape, axis, lengths, layout, seed):
    axis = axis % (2 * len(shape)) - len(shape)
    parts = distinct_values(*((*shape[:axis], n, *shape[axis:][1:]) for n in lengths), seed=seed)
    ours = [layout(xp.asarray(a)) for a in parts]
    np.testing.assert_array_equal(F.cat(ours, axis).numpy(), np.concatenate(parts, axis))
    check_gradients(lambda *parts: F.cat(parts, axis), *ours, seed=seed)


@given(shape=shapes(), axis=positions, count=st.integers(1, 3), layout=layouts, seed=seeds)
def test_stack(xp, shape, axis, count, layout, seed):
    axis = axis % (2 * len(shape) + 2) - len(shape) - 1
    parts = distinct_values(*[shape] * count, seed=seed)
    ours = [layout(xp.asarray(a)) for a in parts]
    np.testing.assert_array_equal(F.stack(ours, axis).numpy(), np.stack(parts, axis))
    check_gradients(lambda *parts: F.stack(parts, axis), *ours, seed=seed)


def test_an_empty_batch(xp):
    x = Tensor(xp.ones((0, 2, 3)), requires_grad=True)
    assert F.flatten(x, 1).shape == (0, 6)
    F.cat([F.flatten(x, 1), xp.ones((0, 6))]).sum().backward()
    assert x.grad.shape == (0, 2, 3)


BAD = [
    (lambda x: F.reshape(x, shape=(4, 2)), ValueError, r"^reshape: .*\(inputs: \(2, 3\)\)"),
    (lambda x: F.flatten(x, 1, 0), ValueError, r"^flatten: start_dim 1 comes after end_dim 0"),
    (lambda x: F.flatten(x, 2), IndexError, r"^flatten: axis 2"),
    (lambda x: F.permute(x, axes=(0,)), ValueError, r"^permute: 1 axes \(0,\)"),
    (lambda x: F.permute(x, axes=(0, 0)), ValueError, r"^permute: axis \(0, 0\) names an axis twice"),
    (lambda x: F.permute(x, axes=(0, 2)), IndexError, r"^permute: axis 2"),
    (lambda x: F.transpose(x, 0, 2), IndexError, r"^transpose: axis 2"),
    (lambda x: F.squeeze(x, 2), IndexError, r"^squeeze: axis 2"),
    (lambda x: F.unsqueeze(x, 3), IndexError, r"^unsqueeze: no position 3"),
    (lambda x: F.expand(x, shape=(3,)), ValueError, r"^expand: shape \(3,\) has fewer axes"),
    (lambda x: F.expand(x, shape=(4, 3)), ValueError, r"^expand: "),
    (lambda x: F.expand(x, shape=(-1, 2, 3)), ValueError, r"^expand: "),
    (lambda x: F.getitem(x, index=2), IndexError, r"^getitem: "),
    (lambda x: F.getitem(x, index=(0, 0, 0)), IndexError, r"^getitem: "),
    (lambda x: F.getitem(x, index=np.array([5])), IndexError, r"^getitem: .*out of bounds"),
    (lambda x: F.getitem(x, index="a"), IndexError, r"^getitem: "),
    (lambda x: F.cat([]), TypeError, r"^cat: give a list of at least one tensor"),
    (lambda x: F.cat(Tensor(x)), TypeError, r"^cat: give a list"),
    (lambda x: F.cat([x, np.ones((2, 4))]), ValueError, r"^cat: .*\(inputs: \(2, 3\), \(2, 4\)\)"),
    (lambda x: F.cat([x, x], 2), IndexError, r"^cat: axis 2"),
    (lambda x: F.cat([np.ones(())]), IndexError, r"^cat: axis 0"),
    (lambda x: F.stack([]), TypeError, r"^stack: give a list"),
    (lambda x: F.stack([x, np.ones((3, 3))]), ValueError, r"^stack: "),
    (lambda x: F.stack([x, x], 3), IndexError, r"^stack: no position 3"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message.split(":")[0][1:] for _, _, message in BAD])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((2, 3)))


def test_flatten_of_a_tensor_without_axes():
    x = Tensor(3.0, requires_grad=True)
    out = F.flatten(x)
    assert out.shape == (1,)
    out.sum().backward()
    assert x.grad.shape == ()
