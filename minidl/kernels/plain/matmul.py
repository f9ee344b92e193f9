"""The matrix product as array code."""

from minidl.device import array_module


def matmul(a, b, bias=None, relu=False):
    """a @ b + bias for two matrices, or for each pair of them, broadcast over the leading axes.

    a (..., M, K), b (..., K, N), bias (N,) or None  ->  (..., M, N).   With `relu`, max(out, 0).
    """
    out = a @ b
    if bias is not None:
        out += bias
    return array_module(a).maximum(out, 0) if relu else out
