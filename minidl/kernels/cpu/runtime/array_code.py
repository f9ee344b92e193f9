"""Array code in a captured step: what functions of NumPy do to their arguments, and how a call is repeated in place."""

import hashlib
from typing import Any

import numpy as np

from minidl.kernels.memory_order import in_memory_order
from minidl.traced import plain

# Functions that write into their first argument.
WRITES = {np.ndarray.__setitem__, np.ndarray.fill, np.ndarray.put, np.ndarray.sort, np.ndarray.partition, np.copyto,
          np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
# Functions whose results are filled in place: they take `out`, or fill an array with a number, or copy one.
TAKES_OUT = {np.concatenate, np.ndarray.sum, np.ndarray.mean, np.ndarray.max, np.ndarray.min, np.ndarray.take}
FILLS = {np.zeros_like: 0, np.ones_like: 1}
COPIES = {np.ndarray.copy, np.ndarray.astype, np.ascontiguousarray, np.array, np.asarray}
# Functions whose results have as many elements as the values say.
VARIES = {np.nonzero, np.ndarray.nonzero, np.flatnonzero, np.argwhere, np.unique, np.compress, np.ndarray.compress,
          np.extract, np.delete, np.bincount, np.histogram, np.union1d, np.intersect1d, np.setdiff1d, np.trim_zeros}


def fill(function, item, target, inputs, settings):
    """Put what a function returns, or one item of it, into an array."""
    result = function(*inputs, **settings)
    result = result if item is None else result[item]
    if np.shape(result) != target.shape:
        raise RuntimeError(f"a captured step expects an array of shape {target.shape}, not {np.shape(result)}")
    target[...] = result


def has_varying_shape(function, inputs):
    """Whether the values of the inputs, or of the indices, decide how many elements the result has."""
    if function is np.ndarray.__getitem__:
        return any(x.dtype == bool for x in arrays_in(inputs[1:]))
    if function in (np.repeat, np.ndarray.repeat):
        return bool(arrays_in(inputs[1:]))
    return function in VARIES or (function is np.where and len(inputs) == 1)


def placed(x: Any, memory: Any) -> Any:
    """A plain array in the same place of a block's memory. The block does not count as in use because of it."""
    first = x.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    return np.ndarray(x.shape, x.dtype, memory, first, x.strides)


def arrays_in(x: Any) -> list[Any]:
    """The arrays in arguments."""
    if isinstance(x, np.ndarray):
        return [x]
    if isinstance(x, dict):
        return arrays_in(tuple(x.values()))
    return [array for item in x for array in arrays_in(item)] if isinstance(x, tuple | list) else []


def digest(x: Any) -> bytes:
    """What tells whether two arrays have the same bits."""
    x = in_memory_order(plain(x))
    x = x if x.flags.c_contiguous else x.copy()
    return hashlib.blake2b(x.data if x.size else b"", digest_size=16).digest()
