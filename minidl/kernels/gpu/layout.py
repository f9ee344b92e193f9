"""Channels last: memory order NHWC, the channels of a pixel side by side, in which these kernels read images."""

from minidl.device import array_module


def channels_last(x):
    """x (N, C, H, W) as a C-contiguous array (N, H, W, C): a view if memory already has that order, else a copy."""
    return contiguous(x.transpose(0, 2, 3, 1))


def logical(x):
    """The inverse: (N, H, W, C) as a view (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def contiguous(x):
    """x as a C-contiguous array: itself, or a copy; None stays None."""
    return x if x is None or x.flags.c_contiguous else array_module(x).ascontiguousarray(x)
