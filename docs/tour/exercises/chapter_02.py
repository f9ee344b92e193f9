"""Exercises of chapter 2: unbroadcast, gradients as values, an operation that keeps little."""

from minidl.tensor import op


def unbroadcast(grad, shape):
    """Exercise 2.1: the array `grad` summed to `shape`, the shape that an input had before it was broadcast.

    Broadcasting puts axes of length 1 in front until both shapes have the same number of axes, and repeats axes of
    length 1. The result has exactly the given shape, and the dtype of `grad`. ValueError if an array of `shape` cannot
    be broadcast to the shape of `grad`. `grad` is not changed.
    """
    raise NotImplementedError("exercise 2.1: sum over the axes along which the input was repeated")


def gradients(out, inputs):
    """Exercise 2.2: the gradients of the sum of the elements of `out`, as arrays, one for each tensor in `inputs`.

    The inputs may be leaves or results of operations. The gradient is an array of zeros for one on which `out` does not
    depend. Nothing is changed: no `.grad` is set, and `out.backward()` still works afterwards.

    What you need of a node: `parents`, a tuple of nodes or None; `backward`, which is None in a leaf, and else a
    function that returns one gradient or a tuple of them. A gradient may be an array, None, or a function that returns
    the array. Its shape may be that of the output, so use `unbroadcast`. Never write into a gradient: it may belong to
    another node too. `newest_first(out.node)` of `minidl.tensor` gives the nodes in the right order.
    """
    raise NotImplementedError("exercise 2.2: walk from out.node to the leaves, with the gradients in a dictionary")


@op
def unit_rows(x, /):
    """Exercise 2.3: x / sqrt(sum of x * x over the last axis): rows of length 1. No row is zero.

    Find a formula for the gradient of x that needs the output and the lengths of the rows, but not x: with y = x / r,
    and g the gradient of y, the gradient of x is g / r minus y times something. What `backward` does not mention is
    freed.
    """
    raise NotImplementedError("exercise 2.3: unit_rows, whose backward needs the output and the lengths only")
