"""Arrays that are worked on together, such as all parameters of a network and what an optimizer keeps of each."""

from functools import cached_property

import numpy as np


class Arrays(tuple):
    """A tuple of arrays of one dtype, which remembers where they lie for kernels that work on all of them at once."""

    @cached_property
    def ids(self):
        """The id of each array, int64. In CPython an object's id is its address."""
        return np.fromiter(map(id, self), np.int64, len(self))

    @cached_property
    def starts(self):
        """Where each array begins and the last one ends, if they are counted through: (len + 1,)"""
        return np.cumsum([0, *(x.size for x in self)])

    @cached_property
    def order(self):
        """The order of memory of each array: its strides, but for axes of length 1, which may have any."""
        return [tuple(s for n, s in zip(x.shape, x.strides, strict=True) if n > 1) for x in self]

    @cached_property
    def like(self):
        """An empty array of their dtype."""
        return np.empty(0, self[0].dtype)

    @cached_property
    def dense(self):
        """Whether each is a NumPy array that fills a writable stretch of memory, in whatever order its axes lie."""
        return all(isinstance(x, np.ndarray) and in_memory_order(x).flags.carray for x in self)


def in_memory_order(x):
    """x with its axes in the order of memory, the longest stride first."""
    return x.transpose(sorted(range(x.ndim), key=lambda i: -x.strides[i]))
