"""Matrix products against sums written out, finite differences and bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import broadcastable_shapes, distinct_values, layouts, seeds, shapes

sides = st.integers(1, 4)


@st.composite
def products(draw):
    """Shapes of a and b for a @ b: matrices with leading axes that broadcast, or vectors on either side."""
    m, k, n = draw(sides), draw(sides), draw(sides)
    stacks = draw(broadcastable_shapes(max_dims=2))
    a, b = (*stacks[0], m, k), (*stacks[1], k, n)
    return draw(st.sampled_from([(a, b), ((k,), b), (a, (k,)), ((k,), (k,))]))


def product(a, b):
    """a @ b by its definition: for every row of a and column of b, the sum of the products."""
    rows = a[..., :, None] if a.ndim > 1 else a[:, None]                 # (..., M, K, 1) or (K, 1)
    columns = b[..., None, :, :] if a.ndim > 1 and b.ndim > 1 else b if b.ndim > 1 else b[:, None]
    out = (rows * columns).sum(-2)                                       # (..., M, N)
    return out[..., 0] if b.ndim == 1 else out


@given(case=products(), layout=layouts, seed=seeds)
def test_matmul(xp, case, layout, seed):
    a, b = distinct_values(*case, seed=seed)
    out = F.matmul(layout(xp.asarray(a)), layout(xp.asarray(b)))
    np.testing.assert_allclose(out.numpy(), product(a, b), rtol=1e-10, atol=1e-12)


@given(case=products(), layout=layouts, seed=seeds)
def test_matmul_gradients(xp, case, layout, seed):
    a, b = (layout(xp.asarray(values)) for values in distinct_values(*case, seed=seed))
    check_gradients(F.matmul, a, b, seed=seed)


@given(batch=shapes(max_dims=3), k=sides, f=sides, biased=st.booleans(), layout=layouts, seed=seeds)
def test_linear(xp, batch, k, f, biased, layout, seed):
    x, weight, bias = distinct_values((*batch, k), (f, k), (f,), seed=seed)
    expected = (x[..., None, :] * weight).sum(-1) + (bias if biased else 0)
    inputs = [layout(xp.asarray(a)) for a in (x, weight, bias)[:2 + biased]]
    np.testing.assert_allclose(F.linear(*inputs).numpy(), expected, rtol=1e-10, atol=1e-12)
    check_gradients(F.linear, *inputs, seed=seed)


@pytest.mark.parametrize(("x", "weight"), [((0, 3), (4, 3)), ((2, 0, 3), (4, 3)), ((2, 0), (4, 0))])
def test_linear_of_empty_arrays(xp, x, weight):
    """Empty batches and zero features, which PyTorch accepts too."""
    x, weight, bias = (Tensor(xp.ones(shape), requires_grad=True) for shape in (x, weight, weight[:1]))
    out = F.linear(x, weight, bias)
    assert out.shape == (*x.shape[:-1], 4)
    out.sum().backward()
    assert x.grad.shape == x.shape
    assert not weight.grad.any()
    assert (bias.grad == out.numel() // 4).all()


def test_matmul_of_empty_arrays(xp):
    a, b = (Tensor(xp.ones(shape), requires_grad=True) for shape in ((0, 3), (3, 4)))
    F.matmul(a, b).sum().backward()
    assert a.grad.shape == (0, 3)
    assert not b.grad.any()
    assert F.matmul(xp.ones((2, 0)), xp.ones((0, 4))).numpy().tolist() == [[0] * 4] * 2


@pytest.mark.parametrize(("a", "b"), [((2, 3), (4, 3)), ((3,), (2,)), ((2, 2, 3), (2, 2, 3)), ((2, 3), (2,))])
def test_matmul_of_different_inner_lengths(a, b):
    with pytest.raises(ValueError, match=r"^matmul: a \(.*\) @ b \(.*\): the last length of a"):
        F.matmul(np.ones(a), np.ones(b))


def test_matmul_of_stacks_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"^matmul: .*\(inputs: \(2, 3, 3\), \(4, 3, 3\)\)"):
        F.matmul(np.ones((2, 3, 3)), np.ones((4, 3, 3)))


@pytest.mark.parametrize("other", [np.ones(()), 2.0])
def test_matmul_by_a_number(other):
    with pytest.raises(ValueError, match=r"^matmul: both inputs must have at least one axis"):
        F.matmul(np.ones((2, 2)), other)


BAD_SHAPES = [
    ((2, 3), (4, 2), (4,), r"x \(2, 3\) must end in K, the second length of the weight \(4, 2\)"),
    ((), (4, 2), (4,), r"x \(\) must end"),
    ((2, 3), (3,), (3,), r"weight \(3,\)"),
    ((2, 3), (4, 3), (3,), r"bias \(3,\) must be \(4,\)"),
]


@pytest.mark.parametrize(("x", "weight", "bias", "message"), BAD_SHAPES)
def test_linear_of_bad_shapes(x, weight, bias, message):
    with pytest.raises(ValueError, match=rf"^linear: .*{message}"):
        F.linear(np.ones(x), np.ones(weight), np.ones(bias))


def test_linear_of_bad_dtypes():
    with pytest.raises(TypeError, match=r"^linear: its inputs have dtypes float32, float64"):
        F.linear(np.ones((2, 3), np.float32), np.ones((4, 3)))
    with pytest.raises(TypeError, match=r"^linear: .*same floating-point dtype"):
        F.linear(np.ones((2, 3), int), np.ones((4, 3), int))
