"""The matrix product as array code."""

import numpy as np

from minidl.device import array_module


def product(a, b):
    """a @ b; products of half precision are added up in float32, as a GPU's are."""
    return a @ b if a.dtype.itemsize > 2 else (a.astype(np.float32) @ b.astype(np.float32)).astype(a.dtype)


def matmul(a, b, bias=None, relu=False):
    """a @ b + bias for two matrices, or for each pair of them, broadcast over the leading axes.

    a (..., M, K), b (..., K, N), bias (N,) or None  ->  (..., M, N).   With `relu`, max(out, 0).
    """
    out = product(a, b)
    if bias is not None:
        out += bias
    return array_module(a).maximum(out, 0) if relu else out
