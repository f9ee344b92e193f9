"""Some elements of an array, as array code."""

from minidl.device import array_module


def select(mask, x, scale):
    """x * scale where the mask, which broadcasts to the shape of x, is true, else 0, whatever x is there."""
    return array_module(x).where(mask, x, 0) * scale
