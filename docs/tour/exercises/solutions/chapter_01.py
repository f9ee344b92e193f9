"""Solutions of the exercises of chapter 1."""

import itertools
import math
from collections import Counter
from operator import attrgetter


class Dual:
    """Exercise 1.1: a value, and its derivative with respect to the one input whose `slope` is 1."""

    def __init__(self, value, slope=0.0):
        self.value, self.slope = value, slope

    def __add__(self, other):
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other):
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __truediv__(self, other):
        value = self.value / other.value
        return Dual(value, (self.slope - value * other.slope) / other.value)

    def tanh(self):
        value = math.tanh(self.value)
        return Dual(value, (1 - value**2) * self.slope)


def readers_first(result):
    """Exercise 1.2: every Number that `result` depends on, each after all Numbers that read it, without their ages."""
    unread, found = Counter(), [result]
    for n in found:                                       # grows while it is walked
        for parent in n.parents:
            if parent not in unread:
                found.append(parent)
            unread[parent] += 1
    order = [result]
    for n in order:
        for parent in n.parents:
            unread[parent] -= 1
            if not unread[parent]:
                order.append(parent)
    return order


class Smooth:
    """Exercise 1.3: a number whose slopes are again Smooth, so that gradients can be differentiated."""

    clock = itertools.count()

    def __init__(self, value, parents=(), slopes=()):
        self.value, self.parents, self.slopes = float(value), parents, slopes
        self.order = next(Smooth.clock)

    def __add__(self, other):
        return Smooth(self.value + other.value, (self, other), (lambda: Smooth(1), lambda: Smooth(1)))

    def __mul__(self, other):
        return Smooth(self.value * other.value, (self, other), (lambda: other, lambda: self))

    def exp(self):
        out = Smooth(math.exp(self.value), (self,), (lambda: out,))
        return out


def gradient(y, x):
    """Exercise 1.3: dy/dx as a Smooth number; Smooth(0) if y does not depend on x."""
    found, waiting = {y}, [y]
    while waiting:
        for parent in waiting.pop().parents:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    grads = {y: Smooth(1)}
    for n in sorted(found, key=attrgetter("order"), reverse=True):
        for parent, slope in zip(n.parents, n.slopes, strict=True):
            share = grads[n] * slope()
            grads[parent] = grads[parent] + share if parent in grads else share
    return grads.get(x, Smooth(0))
