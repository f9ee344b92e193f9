"""The operators and methods of Tensor, each against the function that it calls."""

import inspect
import operator

import numpy as np
import pytest
from hypothesis import given

import minidl.functional as F
from minidl import Tensor
from minidl.testing.strategies import distinct_values, seeds

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
             operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
CALLS = [
    (lambda x: -x, F.neg),
    (abs, F.abs),
    (lambda x: x.abs(), F.abs),
    (lambda x: x.exp(), F.exp),
    (lambda x: x.log(), F.log),
    (lambda x: x.sqrt(), F.sqrt),
    (lambda x: x.pow(3), lambda x: F.pow(x, 3)),
    (lambda x: x.clamp(min=1), lambda x: F.clamp(x, min=1)),
    (lambda x: x.relu(), F.relu),
    (lambda x: x.sigmoid(), F.sigmoid),
    (lambda x: x.tanh(), F.tanh),
    (lambda x: x.softmax(0), lambda x: F.softmax(x, 0)),
    (lambda x: x.log_softmax(0), lambda x: F.log_softmax(x, 0)),
    (lambda x: x.sum(0), lambda x: F.sum(x, 0)),
    (lambda x: x.mean(axis=0, keepdims=True), lambda x: F.mean(x, 0, True)),
    (lambda x: x.var(0), lambda x: F.var(x, 0)),
    (lambda x: x.amax(1), lambda x: F.amax(x, 1)),
    (lambda x: x.amin(1), lambda x: F.amin(x, 1)),
    (lambda x: x.logsumexp(1), lambda x: F.logsumexp(x, 1)),
    (lambda x: x.reshape(3, -1), lambda x: F.reshape(x, shape=(3, 2))),
    (lambda x: x.reshape((3, -1)), lambda x: F.reshape(x, shape=(3, 2))),
    (lambda x: x.expand(4, -1, -1), lambda x: F.expand(x, shape=(4, 2, 3))),
    (lambda x: x.permute(1, 0), lambda x: F.permute(x, axes=(1, 0))),
    (lambda x: x.permute([1, 0]), lambda x: F.permute(x, axes=(1, 0))),
    (lambda x: x.flatten(), F.flatten),
    (lambda x: x.transpose(0, 1), lambda x: F.transpose(x, 0, 1)),
    (lambda x: x.unsqueeze(0).squeeze(0), lambda x: x),
    (lambda x: x.T, lambda x: F.permute(x, axes=(1, 0))),
    (lambda x: x @ x.T, lambda x: F.matmul(x, x.T)),
    (lambda x: x.matmul(x.T), lambda x: F.matmul(x, x.T)),
    (lambda x: x[1, ::2], lambda x: F.getitem(x, index=(1, slice(None, None, 2)))),
    (lambda x: x.astype(np.float32), lambda x: F.cast(x, dtype=np.float32)),
    (lambda x: x.to("cpu"), lambda x: x),
    (lambda x: x.to(dtype=np.float32), lambda x: F.cast(x, dtype=np.float32)),
]


@pytest.mark.parametrize(("method", "function"), CALLS)
def test_methods(method, function):
    x, = distinct_values((2, 3), seed=0)
    ours, theirs = method(Tensor(x + 1.5)), function(Tensor(x + 1.5))
    assert isinstance(ours, Tensor)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("operate", OPERATORS, ids=lambda f: f.__name__)
@given(seed=seeds)
def test_operators_take_numbers_and_arrays_on_either_side(xp, operate, seed):
    a, b = (values + 1.5 for values in distinct_values((2, 3), (3,), seed=seed))
    ours, theirs = xp.asarray(a), xp.asarray(b)
    x = Tensor(ours, requires_grad=True)
    for out, expected in [
        (operate(x, Tensor(theirs)), operate(a, b)),
        (operate(x, theirs), operate(a, b)),
        (operate(theirs, x), operate(b, a)),
        (operate(x, 2), operate(a, 2)),
        (operate(2, x), operate(2, a)),
        (operate(x, np.float64(1.7)), operate(a, 1.7)),
        (operate(np.float64(1.7), x), operate(1.7, a)),
    ]:
        assert isinstance(out, Tensor)
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)


def test_matrix_product_with_an_array_on_the_left(xp):
    out = xp.ones((2, 3)) @ Tensor(xp.ones((3, 4)), requires_grad=True)
    assert out.requires_grad
    assert out.numpy().tolist() == [[3] * 4] * 2


def test_public_names():
    """__all__ names exactly the imported functions."""
    functions = [value for value in vars(F).values() if inspect.isfunction(value)]
    assert set(F.__all__) == {f.__name__ for f in functions if f.__module__ != F.__name__}
    assert sorted(F.__all__) == F.__all__
    assert all(getattr(F, name).__doc__ for name in F.__all__)
