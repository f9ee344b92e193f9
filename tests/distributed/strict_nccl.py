"""A stand-in for `cupy.cuda.nccl`, and for MPI, among threads: each is a rank with a GPU of strict_array's.

It refuses what NCCL refuses: another length or type on one of the ranks, and an id of another kind.
"""

import ctypes
import json
import threading
from typing import ClassVar

import numpy as np

from minidl.precision import half

available = True
NCCL_SUM = 0
NCCL_INT8, NCCL_UINT8, NCCL_INT32, NCCL_INT64, NCCL_FLOAT16, NCCL_FLOAT32, NCCL_FLOAT64 = 0, 1, 2, 4, 6, 7, 8
BFLOAT16 = NCCL_BFLOAT16 = 9
TYPES = {NCCL_INT32: np.int32, NCCL_INT64: np.int64, NCCL_FLOAT16: np.float16, NCCL_FLOAT32: np.float32,
         NCCL_FLOAT64: np.float64, BFLOAT16: np.uint16}
PATIENCE = 30                                    # seconds for the others to come


class Meeting:
    """Where ranks exchange values."""

    def __init__(self, size):
        self.barrier, self.values = threading.Barrier(size), [None] * size

    def exchange(self, rank, value):
        self.values[rank] = value
        self.barrier.wait(PATIENCE)
        values = list(self.values)
        self.barrier.wait(PATIENCE)
        return values


class Threads:
    """A communicator for arrays of NumPy among threads."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank, self.size = meeting, rank, len(meeting.values)
        self.local_rank, self.local_size, self.machine, self.host = self.rank, self.size, 0, self

    def all_gather(self, value):
        return [json.loads(text) for text in self.meeting.exchange(self.rank, json.dumps(value))]

    def all_reduce(self, array):
        array[...] = sum(self.meeting.exchange(self.rank, array.copy()))

    def broadcast(self, array):
        array[...] = self.meeting.exchange(self.rank, array.copy())[0]

    def barrier(self):
        self.meeting.exchange(self.rank, None)


def get_unique_id():
    """The id of a new group, as bytes: the latest CuPy's."""
    return bytes(range(128))


class NcclCommunicator:
    meetings: ClassVar = {}
    lock = threading.Lock()

    def __init__(self, ndev, commId, rank):
        assert type(commId) is bytes
        assert len(commId) == 128
        with self.lock:
            self.meeting = self.meetings.setdefault((commId, ndev), Meeting(ndev))
        self.rank = rank

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        assert op == NCCL_SUM
        assert stream != 0, "sums belong on a stream of their own"
        said = self.meeting.exchange(self.rank, (count, datatype, elements(sendbuf, count, datatype).copy()))
        assert len({each[:2] for each in said}) == 1, "ranks sum different arrays"
        arrays = [each[2] for each in said]
        elements(recvbuf, count, datatype)[...] = sum_of_bfloat16(arrays) if datatype == BFLOAT16 else sum(arrays)

    def bcast(self, buff, count, datatype, root, stream):
        said = self.meeting.exchange(self.rank, (count, datatype, elements(buff, count, datatype).copy()))
        assert len({each[:2] for each in said}) == 1, "ranks have different arrays"
        elements(buff, count, datatype)[...] = said[root][2]


def sum_of_bfloat16(arrays):
    """Rounded after each addition, as around NCCL's ring."""
    dtype = half("bfloat16")
    return sum((array.view(dtype) for array in arrays[1:]), arrays[0].view(dtype)).view(np.uint16)


def elements(address, count, datatype):
    """The memory at an address as an array."""
    dtype = np.dtype(TYPES[datatype])
    return np.frombuffer((ctypes.c_byte * (count * dtype.itemsize)).from_address(address), dtype)
