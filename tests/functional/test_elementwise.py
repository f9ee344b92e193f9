"""Elementwise operations against Python's own arithmetic, finite differences and bad input."""

import math
import operator
from functools import partial

import numpy as np
import pytest
from hypothesis import given

import minidl.functional as F
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import broadcastable_shapes, distinct_values, layouts, seeds, shapes

UNARY = {F.neg: operator.neg, F.abs: abs, F.exp: math.exp, F.log: math.log, F.sqrt: math.sqrt}
BINARY = {
    F.add: operator.add, F.sub: operator.sub, F.mul: operator.mul, F.div: operator.truediv, F.pow: operator.pow,
    F.maximum: max, F.minimum: min,
}  # fmt: skip
COMPARISONS = {
    F.eq: operator.eq, F.ne: operator.ne, F.lt: operator.lt, F.le: operator.le, F.gt: operator.gt, F.ge: operator.ge,
}  # fmt: skip


def each(table):
    return pytest.mark.parametrize("function", table, ids=lambda f: f.__name__)


def in_domain(function, *arrays):
    """The arrays moved to where the function is smooth: logarithms, roots and bases of powers need positive input."""
    if function in (F.log, F.sqrt, F.pow):
        return [arrays[0] + 1.5, *arrays[1:]]
    if function is F.div:
        return [arrays[0], arrays[1] + 0.5 * np.sign(arrays[1])]
    return arrays


@each(UNARY)
@given(shape=shapes(), layout=layouts, seed=seeds)
def test_unary(xp, function, shape, layout, seed):
    x, = in_domain(function, *distinct_values(shape, seed=seed))
    expected = np.vectorize(UNARY[function], otypes=[float])(x)
    np.testing.assert_allclose(function(layout(xp.asarray(x))).numpy(), expected, rtol=1e-12)


@each(UNARY)
@given(shape=shapes(), layout=layouts, seed=seeds)
def test_unary_gradients(xp, function, shape, layout, seed):
    x, = in_domain(function, *distinct_values(shape, seed=seed))
    check_gradients(function, layout(xp.asarray(x)), seed=seed)


@each(BINARY)
@given(pair=broadcastable_shapes(), layout=layouts, seed=seeds)
def test_binary(xp, function, pair, layout, seed):
    a, b = in_domain(function, *distinct_values(*pair, seed=seed))
    expected = np.vectorize(BINARY[function], otypes=[float])(a, b)
    np.testing.assert_allclose(function(layout(xp.asarray(a)), layout(xp.asarray(b))).numpy(), expected, rtol=1e-12)


@each(BINARY)
@given(pair=broadcastable_shapes(), layout=layouts, seed=seeds)
def test_binary_gradients(xp, function, pair, layout, seed):
    a, b = in_domain(function, *distinct_values(*pair, seed=seed))
    check_gradients(function, layout(xp.asarray(a)), layout(xp.asarray(b)), seed=seed)


@each(BINARY)
@given(shape=shapes(), seed=seeds)
def test_a_number_on_either_side(xp, function, shape, seed):
    """A number acts like an array without axes, and float32 stays float32 (which check_gradients asserts)."""
    x, number = (values + 1.5 for values in distinct_values(shape, (), seed=seed))
    x, number, formula = xp.asarray(x), float(number), np.vectorize(BINARY[function], otypes=[float])
    np.testing.assert_allclose(function(x, number).numpy(), formula(Tensor(x).numpy(), number), rtol=1e-12)
    np.testing.assert_allclose(function(number, x).numpy(), formula(number, Tensor(x).numpy()), rtol=1e-12)
    check_gradients(lambda x: function(x, number), x, seed=seed)
    check_gradients(lambda x: function(number, x), x, seed=seed)


@each(BINARY)
@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.int64(2)], ids=lambda n: type(n).__name__)
def test_numbers_of_any_type_keep_float32(xp, function, number):
    x = Tensor(xp.ones(3, dtype=xp.float32))
    assert function(x, number).dtype == function(number, x).dtype == np.float32


@pytest.mark.parametrize("exponent", [-2, -1, 0, 1, 2, 3, 0.5, 2.0])
def test_powers(xp, exponent):
    x = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose((Tensor(xp.asarray(x)) ** exponent).numpy(), [v**exponent for v in x])
    check_gradients(lambda x: x**exponent, xp.asarray(x))


@pytest.mark.parametrize(("base", "exponent", "expected"), [(0, 2, 0), (0, 1, 1), (0, 0, 0), (-2, 2, -4), (-2, 0, 0)])
def test_gradients_of_the_base_of_powers_at_edge_cases(xp, base, exponent, expected):
    for other in (exponent, float(exponent), xp.full(1, float(exponent))):
        x = Tensor(xp.full(1, float(base)), requires_grad=True)
        (x**other).backward()
        assert x.grad.item() == expected


@pytest.mark.parametrize(("base", "exponent", "expected"), [(0, 2, 0), (0, 0, 0), (1, 3, 0), (2, 0, math.log(2))])
def test_gradients_of_the_exponent_of_powers_at_edge_cases(xp, base, exponent, expected):
    for other in (base, float(base), xp.full(1, float(base))):
        x = Tensor(xp.full(1, float(exponent)), requires_grad=True)
        (other**x).backward()
        assert x.grad.item() == pytest.approx(expected)


@pytest.mark.parametrize("function", [F.maximum, F.minimum])
def test_equal_elements_share_the_gradient(xp, function):
    a, b = (Tensor(xp.asarray(np.array(v)), requires_grad=True) for v in ([1.0, 2.0], [1.0, 5.0]))
    function(a, b).backward(xp.asarray(np.array([8.0, 8.0])))
    assert Tensor(a.grad).numpy()[0] == Tensor(b.grad).numpy()[0] == 4


@given(shape=shapes(), layout=layouts, seed=seeds)
def test_clamp(xp, shape, layout, seed):
    x, *bounds = distinct_values(shape, (), (), seed=seed)
    low, high = sorted(map(float, bounds))
    expected = np.vectorize(lambda v: min(max(v, low), high), otypes=[float])(x)
    clamp, x = partial(F.clamp, min=low, max=high), layout(xp.asarray(x))
    np.testing.assert_array_equal(clamp(x).numpy(), expected)
    check_gradients(clamp, x, seed=seed)


def test_clamp_passes_the_gradient_at_its_bounds(xp):
    x = Tensor(xp.asarray(np.array([-2.0, -1, 0, 1, 2])), requires_grad=True)
    F.clamp(x, min=-1, max=1).sum().backward()
    assert Tensor(x.grad).numpy().tolist() == [0, 1, 1, 1, 0]
    assert F.clamp(x, min=1).numpy().tolist() == [1, 1, 1, 1, 2]
    assert F.clamp(x, max=1).numpy().tolist() == [-2, -1, 0, 1, 1]


@given(three=broadcastable_shapes(count=3), layout=layouts, seed=seeds)
def test_where(xp, three, layout, seed):
    condition, a, b = distinct_values(*three, seed=seed)
    chosen = layout(xp.asarray(condition > 0))
    expected = np.vectorize(lambda c, a, b: a if c > 0 else b, otypes=[float])(condition, a, b)
    a, b = layout(xp.asarray(a)), layout(xp.asarray(b))
    np.testing.assert_array_equal(F.where(Tensor(chosen), a, b).numpy(), expected)
    check_gradients(lambda a, b: F.where(chosen, a, b), a, b, seed=seed)


def test_where_of_numbers_is_float32(xp):
    assert F.where(xp.ones(2) > 0, 1.0, 0).dtype == np.float32
    assert F.where(xp.ones(2) > 0, xp.ones(2), 0).dtype == np.float64


@each(COMPARISONS)
@given(pair=broadcastable_shapes(), seed=seeds)
def test_comparisons(xp, function, pair, seed):
    a, b = (np.round(3 * v) for v in distinct_values(*pair, seed=seed))                # so that some are equal
    out = function(Tensor(xp.asarray(a), requires_grad=True), xp.asarray(b))
    assert out.dtype == bool
    assert not out.requires_grad
    np.testing.assert_array_equal(out.numpy(), np.vectorize(COMPARISONS[function], otypes=[bool])(a, b))
    assert function(Tensor(xp.asarray(a)), 1).numpy().tolist() == COMPARISONS[function](a, 1).tolist()


@pytest.mark.parametrize(("function", "numbers", "expected"), [
    (F.gt, (1, 2), False), (F.eq, (2.0, 2), True), (F.bitwise_and, (12, 10), 8), (F.bitwise_not, (3,), -4)])
def test_comparisons_and_bits_of_numbers_alone(function, numbers, expected):
    assert function(*numbers).item() == expected


def test_the_gradient_of_cast_has_the_dtype_of_its_input(xp):
    x = Tensor(xp.ones(3, dtype=xp.float32), requires_grad=True)
    out = F.cast(x, dtype=np.float64)
    assert out.dtype == np.float64
    out.backward(xp.asarray(np.array([1.0, 2.0, 3.0])))
    assert x.grad.dtype == np.float32
    assert Tensor(x.grad).numpy().tolist() == [1, 2, 3]


def test_integers_have_no_gradient(xp):
    x = Tensor(xp.asarray(np.array([1.7, -1.7])), requires_grad=True)
    assert not x.astype(np.int64).requires_grad
    (x * x.astype(np.int64)).sum().backward()
    assert Tensor(x.grad).numpy().tolist() == [1, -1]


def test_nan_propagates(xp):
    x = xp.asarray(np.array([math.nan, 1.0]))
    for out in (F.abs(x), F.clamp(x, min=0, max=2), F.maximum(x, 0), F.minimum(x, 2), F.exp(x), F.sqrt(x), F.log(x)):
        assert np.isnan(out.numpy()).tolist() == [True, False]


@each([*UNARY, F.relu])
def test_no_elements(xp, function):
    x = Tensor(xp.ones((0, 3)), requires_grad=True)
    function(x).backward(xp.ones((0, 3)))
    assert x.grad.shape == (0, 3)


@each(BINARY)
def test_shapes_that_do_not_broadcast(function):
    with pytest.raises(ValueError, match=rf"^{function.__name__}: .*\(inputs: \(2, 3\), \(4,\)\)"):
        function(np.ones((2, 3)), np.ones(4))


@each([*UNARY, *BINARY])
def test_lists_are_rejected(function):
    inputs = [[1.0, 2.0]] * (1 if function in UNARY else 2)
    with pytest.raises(TypeError, match=r"^\w+: a list is neither a Tensor nor an array nor a number"):
        function(*inputs)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"^clamp: give min, max or both"):
        F.clamp(np.ones(2))
    with pytest.raises(TypeError, match=r"^where: the condition must be an array of booleans"):
        F.where(np.ones(2), 1.0, 2.0)
    with pytest.raises(TypeError, match=r"^where: the condition"):
        F.where(True, np.ones(2), 2.0)
    with pytest.raises(TypeError, match=r"^cast: .*float33"):
        F.cast(np.ones(2), dtype="float33")
