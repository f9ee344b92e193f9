"""Exercises of chapter 3: an operation of two inputs, a checker of gradients, shrinking."""

from minidl.tensor import op


@op
def cosine(a, b, /):
    """Exercise 3.1: the cosine of the angle between each row of `a` and the same row of `b`:  (N, D), (N, D)  ->  (N,)

    cos = sum(a * b) / (|a| * |b|), where |a| is the length of the row. Its derivative with respect to a row of `a` is
    b / (|a| |b|) - cos * a / |a|**2; for a row of `b` exchange the letters. Derive it once.
    Return the two gradients as functions, so that each is computed only if it is needed.
    """
    raise NotImplementedError("exercise 3.1: cosine and its two gradients")


def is_right(function, *arrays):
    """Exercise 3.2: whether the gradients of `function`, for all of its inputs, agree with central differences.

    `function` takes as many Tensors as there are arrays, of float64, and returns a Tensor of any shape. Compare along a
    random direction for each input, under one random cotangent. A gradient of NaN is not right, nor is one that is
    missing (`x.grad` is None).
    """
    raise NotImplementedError("exercise 3.2: compare backward with central differences, one direction for each input")


def smallest(fails, shape):
    """Exercise 3.3: a shape for which `fails(shape)` is true, found from `shape`, such that no simpler one fails.

    A shape is simpler if an axis is left out, or if the length of an axis is less, but not less than 1. The result is
    minimal in the sense that leaving out any one axis, or making any one length less by 1, gives a shape that does not
    fail. Take what still fails, and repeat until nothing helps. For long axes that must not take long: try to take away
    half of a length first, then a quarter of it, and so on down to 1. (1000, 1000) should take fewer than 200 calls.
    """
    raise NotImplementedError("exercise 3.3: make the shape simpler as long as it still fails")
