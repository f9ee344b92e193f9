"""The address of an array's elements, found from the array's id alone.

Passing a list of arrays to Numba is slow, and so is asking NumPy for the address of each, which takes a microsecond.
Gradients are new arrays in every step; for a small network, asking would take longer than the arithmetic of the
optimizer. So kernels get ids. In CPython the id of an object is its address, and NumPy's PyArrayObject holds the
pointer to its elements right behind the header that every object has.

Python guarantees neither. Both hold on CPython 3.10 to 3.13 with NumPy 2.2 to 2.5, and this module checks them on
import: where IDS_LEAD_TO_DATA is False, callers use array code.
"""

import ctypes
import sys

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from minidl.kernels.cpu.runtime.compile import inner

HEADER = object.__basicsize__      # bytes: 16, and 32 in a free-threaded build


def ids_lead_to_data():
    """Whether the word behind the header of an array, if the array lies at its id, is the address of its elements."""
    if sys.implementation.name != "cpython":
        return False
    arrays = np.zeros(()), np.zeros(3, np.float32), np.zeros((4, 5))[2:, 1:].T
    return all(ctypes.c_void_p.from_address(id(x) + HEADER).value == x.ctypes.data for x in arrays)


IDS_LEAD_TO_DATA = ids_lead_to_data()


@inner
def data_pointer(array_id):
    """The address of the elements of the NumPy array with that id."""
    return carray(as_pointer(array_id + HEADER), (1,), np.int64)[0]


@inner
def elements(array_id, first, stop, like):
    """The elements from `first` up to `stop`, in memory order, of the array with that id; `like` has its dtype."""
    return carray(as_pointer(data_pointer(array_id) + first * like.itemsize), (stop - first,), like.dtype)


@intrinsic
def as_pointer(typingctx, address):
    """An address as a pointer, from which `carray` makes an array."""
    def generate(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))
    return types.voidptr(types.int64), generate
