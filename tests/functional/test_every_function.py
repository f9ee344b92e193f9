"""What holds for every function: whose values may change before backward, and what memory gradients have."""

import copy

import every_function
import numpy as np
import pytest
from every_function import EVERY, inputs_of

import minidl
import minidl.functional as F
from minidl import Tensor, kernels, no_grad

each = pytest.mark.parametrize("name", EVERY)
backends = pytest.mark.parametrize("backend", ["auto", "plain"])


def recorded(name, required=None):
    """(inputs, output, gradient of the output) of a call that is recorded for the inputs whose numbers are `required`.

    An addition follows, so that the gradient which reaches the function is also that of another input.
    """
    minidl.manual_seed(0)
    xs = [Tensor(x, requires_grad=required is None or i in required) for i, x in enumerate(inputs_of(name))]
    out = EVERY[name][0](*xs)
    rng = np.random.default_rng(1)
    return xs, out, rng.uniform(0.5, 1.5, out.shape).astype(out.dtype)


def gradients(xs, out, gradient):
    """The gradients of the inputs that one walk back gives."""
    for x in xs:
        if x.requires_grad:
            x.grad = None
    out.backward(gradient, retain_graph=True)
    return [None if x.grad is None else x.grad.copy() for x in xs]


def unless_refused(call, kind, words):
    """call(), or None if it raises an error of this kind with these words."""
    try:
        return call()
    except kind as error:
        if words not in str(error):
            raise
        return None


def test_the_table_has_every_function():
    names = {name.partition(",")[0].partition(" of ")[0] for name in EVERY}
    assert names | every_function.WITHOUT == {f.__name__.lstrip("_") for f in map(F.__dict__.get, F.__all__)}


@backends
@each
def test_a_changed_value_is_noticed_or_not_needed(name, backend):
    """Where the second walk is not refused, it gives the bits of the first."""
    changes = [lambda xs, out, i=i: xs[i] for i in range(len(inputs_of(name)))] + [lambda xs, out: out]
    with kernels.using(backend):
        for i in range(len(inputs_of(name))):
            for required in ({i}, None):
                for changed in changes:
                    xs, out, gradient = recorded(name, required)
                    before = gradients(xs, out, gradient)
                    tensor = changed(xs, out)
                    if not tensor.data.flags.writeable:                       # `expand` gives a view
                        continue
                    with no_grad():
                        tensor *= 0.5
                    after = unless_refused(lambda xs=xs, out=out, gradient=gradient: gradients(xs, out, gradient),
                                           RuntimeError, "has been changed in place since")
                    for a, b in zip(before, after or before, strict=True):
                        np.testing.assert_array_equal(a, b)


@backends
@pytest.mark.parametrize("ones", [False, True], ids=["gradient", "ones"])
@each
def test_every_gradient_has_memory_of_its_own(name, backend, ones):
    """Changing one in place changes neither another, nor the gradient passed in, nor a second walk."""
    with kernels.using(backend):
        xs, out, gradient = recorded(name)
        gradient = np.ones_like(gradient) if ones else gradient
        other = Tensor(np.ones(out.shape, out.dtype), requires_grad=True)
        both = out + other
        first = gradients([*xs, other], both, gradient)
        given = gradient.copy()
        arrays = [x.grad for x in (*xs, other)]
        for i, array in enumerate(arrays):
            assert array.flags.writeable
            assert not any(np.shares_memory(array, b) for b in (*arrays[:i], gradient, out.data, *(x.data for x in xs)))
            array[...] = np.nan
        np.testing.assert_array_equal(gradient, given)
        for a, b in zip(first, gradients([*xs, other], both, gradient), strict=True):
            np.testing.assert_array_equal(a, b)


@each
def test_a_kept_gradient_has_memory_of_its_own(name):
    """The same for an intermediate result that keeps its gradient, and for a graph that only passes gradients on."""
    xs, out, gradient = recorded(name)
    out.retain_grad()
    out.backward(gradient)
    for x in xs:
        assert not np.shares_memory(out.grad, x.grad)
    assert not np.shares_memory(out.grad, gradient)


@each
def test_integers_do_not_widen_float32(name):
    """An input of integers counts as one of float32, or is refused."""
    function, shapes = EVERY[name]
    for i in range(len(shapes)):
        xs = inputs_of(name)
        xs[i] = np.ones(shapes[i], np.int64)
        out = unless_refused(lambda xs=xs: function(*map(Tensor, xs)), TypeError, "float")
        assert out is None or name == "cast" or out.dtype in (np.float32, np.int64)


def test_a_copied_leaf_keeps_its_gradient():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    twin = copy.deepcopy(x)
    assert twin.grad.tolist() == [3, 3]
    assert twin.grad is not x.grad
    assert twin.node is not x.node
