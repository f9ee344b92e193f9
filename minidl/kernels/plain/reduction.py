"""Sums and means over axes, as array code."""

import math

import numpy as np


def axis_sums(x, axes):
    """The sum over a tuple of axes, which are kept with length 1, in float64 or the dtype of x.

    The error does not grow with the number of elements. Added one after the other in float32, 20 million ones are
    16777216: one more is then less than half of the last digit.
    """
    return x.sum(axes, dtype=np.float64, keepdims=True) if axes else x.astype(np.float64)


def axis_means(x, axes):
    """The mean over a tuple of axes, which are kept with length 1, in the dtype of x."""
    return (axis_sums(x, axes) / math.prod(x.shape[axis] for axis in axes)).astype(x.dtype)
