"""The matrix product, on the register tile."""

import numpy as np

from minidl.kernels.cpu.memory import empty
from minidl.kernels.cpu.product import Rows, packed, product, start_row


def matmul(a, b):
    """a @ b for two matrices.   a (M, K), b (K, N)  ->  (M, N)"""
    (m, k), n = a.shape, b.shape[1]
    out = empty((m, n), a.dtype)
    if k == 0:
        out[:] = 0
    elif out.size:
        product((1, 1, m), Rows(a, 0, (0, 0, a.strides[0])), np.zeros(1, np.int64), k, a.strides[1],
                packed(b[None]), n, start_row(a, None, n), Rows(out, 0, (0, 0, out.strides[0])))
    return out
