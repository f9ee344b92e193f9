"""The matrix products of Winograd convolution: one at each frequency, for a block of rows and a panel of columns."""

from typing import NamedTuple

import numpy as np

from minidl.kernels.cpu.gemm.packing import KC
from minidl.kernels.cpu.llvm.gemm_microkernel import (
    FULL,
    LOW,
    LOW_SINGLE,
    SINGLE,
    BPanel,
    RowPointers,
    TapOffsets,
    gemm_microkernel,
)
from minidl.kernels.cpu.runtime.compile import inner
from minidl.kernels.cpu.runtime.target import LOW_MR, MR, NR_BYTES, VECTOR_BYTES
from minidl.kernels.cpu.runtime.work import ceil_div

BLOCK_ROWS = 4 * MR        # in a block, at most


class RowsOfA(NamedTuple):
    """Rows of A at each frequency: row p begins at first + p * stride, its `length` elements are `step` bytes apart."""

    first: int
    stride: int
    count: int
    length: int
    step: int


@inner
def multiply(a, rows, b, columns, zeros, products):
    """products[e] = A[e] @ B[e] at each frequency e, for a block of rows and a panel of `columns` bytes.

    The rows of B[e] and of the products are NR_BYTES apart. `zeros` also gives the element type.
    """
    pointers, offset = np.empty((2, BLOCK_ROWS), np.int64), np.empty(1, np.int64)
    for p in range(BLOCK_ROWS):                                       # past the last row, any row
        pointers[0, p] = a.ctypes.data + rows.first + min(p, rows.count - 1) * rows.stride
        pointers[1, p] = products.ctypes.data + p * NR_BYTES
    low = ceil_div(rows.count, LOW_MR) * LOW_MR < ceil_div(rows.count, MR) * MR
    for e in range(len(a)):
        for k in range(0, rows.length, KC):
            start = np.int64(zeros.ctypes.data) if k == 0 else 0
            offset[0] = e * a.strides[0] + k * rows.step
            for p in range(0, rows.count, LOW_MR if low else MR):
                gemm_microkernel(zeros, panel_tile(low, columns > VECTOR_BYTES),
                                 RowPointers(pointers[0, p:].ctypes.data, pointers[1, p:].ctypes.data,
                                             e * products.strides[0]),
                                 TapOffsets(offset.ctypes.data, 1, min(KC, rows.length - k), rows.step),
                                 BPanel(b[e].ctypes.data + k * NR_BYTES, NR_BYTES), start, 0, 0)


@inner
def panel_tile(low, full):
    """The shape of a tile of MR rows or, if `low`, of LOW_MR; of two vectors of columns if `full`, else of one."""
    if low:
        return LOW if full else LOW_SINGLE
    return FULL if full else SINGLE
