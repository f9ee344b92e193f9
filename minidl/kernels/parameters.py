"""Arrays that one kernel call updates together: all parameters of a network, or a kind of optimizer state for them."""

from functools import cached_property

import numpy as np

from minidl.kernels.memory_order import in_memory_order


class Arrays(tuple):
    """A tuple of arrays of one dtype, and what a kernel needs to know of their memory.

    It never changes what it holds, so an id is that of a living array. A copy, or what a pickle holds, finds out again.
    unless  None, or a flag float32 () on the GPU of the arrays: an optimizer's kernels for GPUs write nothing unless it
            is 0
    """

    unless = None

    def __reduce__(self):
        return Arrays, (tuple(self),)

    @cached_property
    def ids(self):
        """The id of each array, int64."""
        return np.fromiter(map(id, self), np.int64, len(self))

    @cached_property
    def starts(self):
        """Where each array begins in a consecutive numbering of all elements; and the number of elements: (len + 1,)"""
        return np.cumsum([0, *(x.size for x in self)])

    @cached_property
    def order(self):
        """The memory order of each array."""
        return [memory_order(x) for x in self]

    @cached_property
    def like(self):
        """An empty array of their dtype."""
        return np.empty(0, self[0].dtype)

    @cached_property
    def dense(self):
        """Whether each is a writable NumPy array without gaps, whatever the order of its axes."""
        return all(isinstance(x, np.ndarray) and in_memory_order(x).flags.carray for x in self)

    @cached_property
    def gapless(self):
        """Whether each array, of any library, has no gaps, whatever the order of its axes."""
        return all(in_memory_order(x).flags.c_contiguous for x in self)

    @cached_property
    def addresses(self):
        """The address of the first element of each array on a GPU, uint64."""
        return np.array([x.data.ptr for x in self], np.uint64)


def memory_order(x):
    """The strides of an array, except those of axes of length 1, which are arbitrary."""
    return tuple(s for n, s in zip(x.shape, x.strides, strict=True) if n > 1)
