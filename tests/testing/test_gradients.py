"""The gradient check must find mistakes: each test plants one."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import strict_array

import minidl.functional as F
from minidl import Tensor
from minidl.tensor import op
from minidl.testing import check_gradients


def square_with(backward, forward=lambda x: x * x):
    """An op that squares, with the given backward, a function of the gradient and x."""
    @op
    def square(x, /):
        return forward(x), lambda grad: backward(grad, x)
    return square


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((3, 4))


def test_correct_gradients_pass(x):
    check_gradients(square_with(lambda grad, x: 2 * grad * x), x)
    check_gradients(lambda a, b: (a @ b.T).sum(0), x, x[:2])
    check_gradients(F.exp, x.astype(np.float32))
    check_gradients(F.exp, x[::2, ::-1])
    check_gradients(F.exp, np.ones(()))
    check_gradients(F.exp, np.ones((0, 3)))


def test_a_wrong_factor(x):
    with pytest.raises(AssertionError, match=r"(?s)backward of square is wrong for x, input 0, \(3, 4\).*seed=7"):
        check_gradients(square_with(lambda grad, x: 1.999 * grad * x), x, seed=7)


def test_the_wrong_input_is_named(x):
    @op
    def product(a, b, /):
        return a * b, lambda grad: (grad * b, grad * b)
    with pytest.raises(AssertionError, match=r"wrong for b, input 1, \(3, 4\)"):
        check_gradients(product, x, 2 * x)


def test_a_gradient_that_is_correct_only_for_a_cotangent_of_ones(x):
    """With ones, the gradient of softmax is zero, and a backward that returns 0 would pass."""
    @op
    def softmax(x, /):
        out = np.exp(x) / np.exp(x).sum()
        return out, lambda grad: 0 * grad
    with pytest.raises(AssertionError, match="Backward gives zeros"):
        check_gradients(softmax, x)


def test_a_gradient_of_nan(x):
    with pytest.raises(AssertionError, match=r"(?s) nan .*Backward gives NaN or infinity"):
        check_gradients(square_with(lambda grad, x: grad * np.nan), x)


def add_in_place(array):
    array += 1
    return array


@pytest.mark.parametrize(("function", "message"), [
    (square_with(lambda grad, x: grad * x, forward=lambda x: add_in_place(x) * x), r"input 0 \(3, 4\) was written to"),
    (square_with(lambda grad, x: add_in_place(x)), r"input 0 \(3, 4\) was written to"),
    (square_with(lambda grad, x: add_in_place(grad)), r"the gradient passed to backward .* was written to"),
])
def test_writing_to_inputs_and_gradients(function, message, x):
    with pytest.raises(AssertionError, match=message):
        check_gradients(function, x)


def test_writing_to_the_output(x):
    @op
    def exp(x, /):
        out = np.exp(x)

        def backward(grad):
            out[...] *= grad
            return out.copy()
        return out, backward
    with pytest.raises(AssertionError, match=r"the output \(3, 4\) was written to"):
        check_gradients(exp, x)


def test_an_op_that_leaves_float32(x):
    two = np.full((), 2.0)
    with pytest.raises(AssertionError, match="inputs of float32 gave an output of float64"):
        check_gradients(square_with(lambda grad, x: 2 * grad * x, forward=lambda x: x**two), x)
    check_gradients(square_with(lambda grad, x: 2 * grad * x, forward=lambda x: x**two), x, float32=False)


def test_an_op_that_is_inaccurate_in_float32(x):
    def coarse(x):
        return x if x.dtype == np.float64 else x.astype(np.float16).astype(np.float32)
    with pytest.raises(AssertionError, match=r"the output .* in float32 is off by .* from float64"):
        check_gradients(square_with(lambda grad, x: 2 * grad * x, forward=lambda x: coarse(x * x)), x)
    with pytest.raises(AssertionError, match=r"the gradient of input 0 .* in float32 is off by"):
        check_gradients(square_with(lambda grad, x: 2 * grad * coarse(x)), x)


def test_an_input_that_gets_no_gradient(x):
    @op
    def one_sided(a, b, /):
        return a + b, lambda grad: (grad, None)
    with pytest.raises(AssertionError, match=r"input 1 \(3, 4\) received no gradient"):
        check_gradients(one_sided, x, x)


def test_bad_arguments(x):
    with pytest.raises(TypeError, match="input 1 must be a floating-point array, not array"):
        check_gradients(F.add, x, np.ones(4, int))
    with pytest.raises(TypeError, match="input 0 must be a floating-point array, not 2"):
        check_gradients(F.exp, 2.0)
    with pytest.raises(TypeError, match="the function returned a ndarray, not a Tensor"):
        check_gradients(lambda x: x.data, x)


def test_arrays_of_another_library(x):
    check_gradients(F.exp, strict_array.asarray(x))
    with pytest.raises(AssertionError, match="Backward passes `grad` on"):
        check_gradients(square_with(lambda grad, x: grad), strict_array.asarray(x))


def test_the_input_is_unchanged(x):
    before = Tensor(x.copy())
    check_gradients(F.exp, x)
    np.testing.assert_array_equal(x, before.data)


def test_the_example_of_a_new_op(capsys):
    example = Path(__file__).parents[2] / "examples" / "new_op.py"
    runpy.run_path(str(example), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "swish: backward agrees with finite differences"
    assert lines[1].startswith("wrong_swish: check_gradients: backward of wrong_swish is wrong for x, input 0, (3, 4)")
