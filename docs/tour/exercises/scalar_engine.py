"""The engine of chapter 1, as it is built on the page, for its exercises to use."""

import itertools
import math
from operator import attrgetter


class Number:
    """A value that remembers how it was computed."""

    clock = itertools.count()

    def __init__(self, value, name="", parents=(), slopes=()):
        self.value = float(value)
        self.name = name                     # of the operation that computed it, or of a variable
        self.parents = parents               # the Numbers that it was computed from
        self.slopes = slopes                 # d(self)/d(parent) for each of them
        self.grad = 0.0                      # d(result)/d(self), after backward(result)
        self.order = next(Number.clock)      # the age: parents are older than what they make

    def __repr__(self):
        return f"Number({self.value:.4f}, grad={self.grad:.4f})"


def number(x):
    """`x` itself, or a constant as a Number."""
    return x if isinstance(x, Number) else Number(x)


def add(a, b):
    a, b = number(a), number(b)
    return Number(a.value + b.value, "+", (a, b), (1.0, 1.0))


def mul(a, b):
    a, b = number(a), number(b)
    return Number(a.value * b.value, "*", (a, b), (b.value, a.value))


def tanh(a):
    value = math.tanh(a.value)
    return Number(value, "tanh", (a,), (1 - value**2,))


Number.__add__ = Number.__radd__ = add       # a + b and 2 + b
Number.__mul__ = Number.__rmul__ = mul


def newest_first(result):
    """Every Number that `result` depends on, the youngest first."""
    seen, waiting = {result}, [result]
    while waiting:
        for parent in waiting.pop().parents:
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return sorted(seen, key=attrgetter("order"), reverse=True)


def backward(result):
    """Set `grad` of everything that `result` depends on; add to it where there is one already."""
    result.grad = 1.0
    for n in newest_first(result):
        for parent, edge in zip(n.parents, n.slopes, strict=True):
            parent.grad += n.grad * edge
