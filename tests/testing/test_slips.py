"""Mistakes that students make in an op: for each, the sentence that teaches."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor
from minidl.tensor import op
from minidl.testing import check_gradients

X = np.random.default_rng(0).standard_normal((3, 4))


def made(name, forward, backward):
    """An op of one input: its name, its output, and backward(grad, x)."""
    def function(x, /):
        return forward(x), lambda grad: backward(grad, x)
    function.__name__ = name
    return op(function)


def product(first, second):
    """a * b, with these as the gradients of a and of b, functions of (grad, a, b)."""
    @op
    def mul(a, b, /):
        return a * b, lambda grad: (first(grad, a, b), second(grad, a, b))
    return mul


WRONG = {
    "a sign": (made("sin", np.sin, lambda grad, x: -grad * np.cos(x)),
               r"backward of sin is wrong for x, input 0, \(3, 4\).*x\[\d, \d\] .*12 of 12 .*Each ratio is -1: a sign"),
    "a factor": (made("square", np.square, lambda grad, x: grad * x), r"Each ratio is 0\.5: .*multiply by 2\."),
    "a factor and a sign": (made("square", np.square, lambda grad, x: -3 * grad * x),
                            r"Each ratio is -1\.5: a minus sign and a factor"),
    "the chain rule": (made("sin", np.sin, lambda grad, x: np.cos(x)), "the chain rule is forgotten; multiply by `gr"),
    "the derivative": (made("square", np.square, lambda grad, x: grad), "Backward passes `grad` on as it is"),
    "a factor of the input": (made("square", np.square, lambda grad, x: 2 * grad), "a factor, the input, is missing"),
    "the input once too often": (made("double", lambda x: 2 * x, lambda grad, x: 2 * grad * x), "once too often"),
    "a sum for a mean": (made("mean", np.mean, lambda grad, x: grad * np.ones_like(x)),
                         "Each ratio is 12: a division by 12 is missing"),
    "zeros": (made("square", np.square, lambda grad, x: 0 * grad), "Backward gives zeros"),
    "a case": (made("relu", lambda x: np.maximum(x, 0), lambda grad, x: grad * (x > -1)),
               r"4 of 12 elements compared are wrong\..*The other elements are right"),
    "no usual mistake": (made("square", np.square, lambda grad, x: np.sin(x) * grad), "No usual mistake fits"),
}


@pytest.mark.parametrize(("wrong", "sentence"), WRONG.values(), ids=WRONG)
def test_what_a_wrong_gradient_may_be(wrong, sentence):
    with pytest.raises(AssertionError, match=f"(?s){sentence}"):
        check_gradients(wrong, X)


def test_gradients_that_are_swapped():
    swapped = product(lambda grad, a, b: grad * a, lambda grad, a, b: grad * b)
    with pytest.raises(AssertionError) as caught:
        check_gradients(swapped, X, X + 1)
    text = str(caught.value)
    assert "wrong for a, input 0, (3, 4) and b, input 1, (3, 4)" in text
    assert text.count("are swapped") == 1
    assert "b[0, " in text


def test_a_transposed_gradient():
    transposed = made("double", lambda x: 2 * x, lambda grad, x: 2 * grad.T)
    with pytest.raises(AssertionError, match=r"transposed: use \.T once more"):
        check_gradients(transposed, X[:, :3])


def test_a_kink():
    with pytest.raises(AssertionError, match="is there a kink or a tie at this point, as relu has at 0"):
        check_gradients(F.relu, np.zeros((2, 2)))


def test_the_ops_in_a_function_are_named():
    square = made("square", np.square, lambda grad, x: grad)
    with pytest.raises(AssertionError, match="this function, which consists of square, mul, is wrong for y, input 0"):
        check_gradients(lambda y: square(y) * 2, X)


def test_a_large_input_is_compared_in_part():
    with pytest.raises(AssertionError, match=r"x\[\d+, \d+\] .*\n  200 of 200 elements"):
        check_gradients(made("square", np.square, lambda grad, x: grad * x), np.ones((300, 300)))


def not_an_op(x):
    return np.sin(x), lambda grad: grad * np.cos(x)


BROKEN = {
    "a product of wrong shapes": (
        op(lambda x, /: (x @ X.T, lambda grad: grad @ X.T)), ValueError,
        r"backward of <lambda>: matmul: .*\(grad: \(3, 3\), as the output; inputs: \(3, 4\)\)"),
    "a gradient of another shape": (
        made("square", np.square, lambda grad, x: np.ones(2)), RuntimeError,
        r"backward of square gave a gradient of shape \(2,\) for an input of shape \(3, 4\); the two shapes"),
    "only the output": (
        op(lambda x, /: x * x), TypeError, r"returned an array \(3, 4\); an op returns two things, its output"),
    "two rows in place of two things": (
        op(lambda x, /: (x * x)[:2]), TypeError, r"returned an array \(2, 4\); an op returns two things"),
    "three things": (op(lambda x, /: (x, x, None)), TypeError, "returned 3 things; an op returns two"),
    "no function": (op(lambda x, /: (x * x, x)), TypeError, r"in place of backward .*an array \(3, 4\); an op returns"),
    "a list": (made("f", lambda x: x.tolist(), None), TypeError, "f: its output is a list, and must be an array"),
    "a float": (made("f", lambda x: float(x.sum()), None), TypeError, "f: its output is a float, and must be"),
    "a tensor's function inside": (
        made("f", F.exp, None), TypeError, "f: its output is a Tensor; inside an op there are arrays, not tensors"),
    "a method of arrays on a tensor": (
        made("f", lambda x: F.exp(x).nonzero(), None), TypeError, "f: .*nonzero.*inside an op there are arrays"),
    "no @op": (not_an_op, TypeError, "not_an_op calls a function of NumPy, which takes no tensors; put @op above it"),
    "no @op, and no NumPy": (lambda x: (x * 2, lambda grad: 2 * grad), TypeError, "returned .output, back.*put @op"),
    "None": (made("f", np.square, lambda grad, x: None), AssertionError, "received no gradient: backward gave None"),
}


@pytest.mark.parametrize(("wrong", "error", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_op(wrong, error, sentence):
    with pytest.raises(error, match=sentence):
        check_gradients(wrong, X)


def test_an_error_in_backward_names_the_op():
    def fails(grad, x):
        raise KeyError("oops")
    out = made("square", np.square, fails)(Tensor(X, requires_grad=True)).sum()
    with pytest.raises(KeyError, match="oops") as caught:
        out.backward()
    assert caught.value.__notes__ == ["in backward of square"]
