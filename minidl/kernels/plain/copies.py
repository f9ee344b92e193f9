"""Copies into a part of another array, for the forward and backward passes of padding, slices and concatenation."""

from minidl.device import array_module


def place(x, index, shape, like, value=0):
    """An array of `shape`, all `value`, except that out[index] = x, in the memory order of `like`.

    index  a tuple of slices, one for each axis; x has the shape of out[index]
    """
    out = array_module(x).full_like(like, value, shape=shape, dtype=x.dtype)
    out[index] = x
    return out


def concatenate(arrays, axis):
    """The arrays, of one dtype, one after another along an axis."""
    return array_module(*arrays).concatenate(arrays, axis=axis)
