"""Solutions of the exercises of chapter 3."""

import numpy as np

from minidl import Tensor
from minidl.tensor import op


@op
def cosine(a, b, /):
    """Exercise 3.1: the cosine of the angle between each row of `a` and that of `b`:  (N, D), (N, D)  ->  (N,)"""
    length_a, length_b = (np.sqrt((x * x).sum(1, keepdims=True)) for x in (a, b))
    unit_a, unit_b = a / length_a, b / length_b
    cos = (unit_a * unit_b).sum(1, keepdims=True)

    def backward(grad):
        grad = grad[:, None]
        return (lambda: grad * (unit_b - cos * unit_a) / length_a), (lambda: grad * (unit_a - cos * unit_b) / length_b)
    return cos[:, 0], backward


def is_right(function, *arrays):
    """Exercise 3.2: whether the gradients of `function`, by all of its inputs, agree with central differences."""
    rng, h = np.random.default_rng(0), 1e-6
    inputs = [Tensor(array, requires_grad=True) for array in arrays]
    out = function(*inputs)
    cotangent = rng.standard_normal(out.shape)
    out.backward(cotangent)
    for i, x in enumerate(inputs):
        if x.grad is None:
            return False
        direction = rng.standard_normal(x.shape)
        up, down = (function(*(Tensor(array + (sign * h * direction if i == j else 0)) for j, array in
                               enumerate(arrays))).data for sign in (1, -1))
        numeric = (cotangent * (up - down)).sum() / (2 * h)
        if not abs((x.grad * direction).sum() - numeric) <= 1e-7 + 1e-5 * abs(numeric):
            return False
    return True


def smallest(fails, shape):
    """Exercise 3.3: a shape for which `fails(shape)` is true, found from `shape`, of which no simpler one fails."""
    while simpler := next(filter(fails, simpler_ones(shape)), None):
        shape = simpler
    return shape


def simpler_ones(shape):
    """Shapes with an axis less, and with a length less by a half of it, a quarter, and so on to 1."""
    for i in range(len(shape)):
        if len(shape) > 1:
            yield shape[:i] + shape[i + 1:]
    for i, length in enumerate(shape):
        step = length // 2
        while step:
            yield (*shape[:i], length - step, *shape[i + 1:])
            step //= 2
