"""Exercises of chapter 1: derivatives forwards, another order of the tape, slopes of slopes."""

import itertools


class Dual:
    """Exercise 1.1: a value, and its derivative with respect to the one input whose `slope` is 1.

    Dual(3.0, 1.0) is that input; Dual(3.0) is another input, or a constant. Each operation returns a Dual with the
    value and the slope of its result, and remembers nothing: the slopes of a result are known as soon as its value is.
    """

    def __init__(self, value, slope=0.0):
        self.value, self.slope = value, slope

    def __add__(self, other):
        """self + other, for two Duals."""
        raise NotImplementedError("exercise 1.1: the slope of a sum")

    def __mul__(self, other):
        """self * other, for two Duals."""
        raise NotImplementedError("exercise 1.1: the slope of a product")

    def __truediv__(self, other):
        """self / other, for two Duals."""
        raise NotImplementedError("exercise 1.1: the slope of a quotient")

    def tanh(self):
        """The hyperbolic tangent."""
        raise NotImplementedError("exercise 1.1: the slope of tanh")


def readers_first(result):
    """Exercise 1.2: every Number that `result` depends on, each after all Numbers that read it, without their ages.

    A Number has `parents`; the same one may occur twice among them, as in `x + x`. First count how often each Number is
    read. Then begin with `result`: when a Number is taken, each of its parents has one reader fewer to wait for, and
    when none is left, it can be taken too. Use no recursion: a chain may have 100,000 Numbers.
    """
    raise NotImplementedError("exercise 1.2: count readers, then take each Number when its count is 0")


class Smooth:
    """Exercise 1.3: a number whose slopes are again Smooth, so that gradients can be differentiated.

    `slopes` holds a function for each parent, which returns the slope when backward needs it. If they were computed at
    once, each operation would compute slopes, their slopes, and so on without end.
    """

    clock = itertools.count()

    def __init__(self, value, parents=(), slopes=()):
        self.value, self.parents, self.slopes = float(value), parents, slopes
        self.order = next(Smooth.clock)

    def __add__(self, other):
        return Smooth(self.value + other.value, (self, other), (lambda: Smooth(1), lambda: Smooth(1)))

    def __mul__(self, other):
        """self * other, for two Smooth numbers."""
        raise NotImplementedError("exercise 1.3: the product, with slopes that are Smooth")

    def exp(self):
        """e to the power of self."""
        raise NotImplementedError("exercise 1.3: exp, whose slope is its own result")


def gradient(y, x):
    """Exercise 1.3: dy/dx as a Smooth number; Smooth(0) if y does not depend on x.

    Visit the Numbers that y depends on, the newest first, and keep the gradients in a dictionary. Multiply and add them
    as Smooth numbers, which records how they were computed.
    """
    raise NotImplementedError("exercise 1.3: backward, with gradients that are Smooth")
