"""The communicator on NCCL, by CuPy: for arrays on GPUs, one GPU for each rank.

MPI starts the ranks and carries the id by which they find each other; it also serves for arrays of the host. Sums run
on a stream of their own, beside the computation: the streams wait for each other, and the host for neither.
"""

import importlib
from typing import Any, NoReturn, Self

from minidl.device import Array, Device
from minidl.distributed.communicator import Communicator, DistributedError, Request


class NCCL:
    """The ranks of `host`, each with its own GPU, `device`."""

    def __init__(self, host: Communicator, device: Device) -> None:
        self.host, self.device = host, device
        self.rank, self.size, self.machine = host.rank, host.size, host.machine
        self.local_rank, self.local_size = host.local_rank, host.local_size
        self.cuda = importlib.import_module("cupy").cuda
        self.nccl = self.cuda.nccl
        faults = host.all_gather("" if getattr(self.nccl, "available", False) else "this CuPy has no NCCL")
        if any(faults):
            raise DistributedError(f"ranks on GPUs need NCCL, and rank {next(i for i, f in enumerate(faults) if f)} "
                                   "lacks it; pip install nvidia-nccl-cu13, or nvidia-nccl-cu12 for CUDA 12")
        name: Any = self.nccl.get_unique_id() if self.rank == 0 else b""      # bytes, or a tuple: before CuPy 14
        in_bytes, name = host.all_gather([isinstance(name, bytes), list(name)])[0]
        name = bytes(name) if in_bytes else tuple(name)
        with device.current():
            self.group = self.nccl.NcclCommunicator(self.size, name, self.rank)
            self.stream = self.cuda.Stream(non_blocking=True)

    def start_all_reduce(self, array: Array) -> Request:
        return self.start_sum(array, self.kind(array))

    def start_all_reduce_bfloat16(self, bits: Array) -> Request:
        if not hasattr(self.nccl, "NCCL_BFLOAT16"):
            raise DistributedError("this CuPy's NCCL has no bfloat16, for compress; install CuPy 14 or later")
        return self.start_sum(bits, self.nccl.NCCL_BFLOAT16)

    def start_sum(self, array: Array, kind: int) -> Request:
        """Begin to sum an array, whose elements are of this kind to NCCL."""
        with self.device.current():
            computing = self.cuda.get_current_stream()
            self.stream.wait_event(computing.record())       # the array is complete
            self.group.allReduce(*self.pointers(array, 2), kind, self.nccl.NCCL_SUM, self.stream.ptr)
            return Behind(self.cuda, self.stream.record())

    def all_reduce(self, array: Array) -> None:
        self.start_all_reduce(array).wait()

    def broadcast(self, array: Array) -> None:
        with self.device.current():
            stream = self.cuda.get_current_stream()
            self.group.bcast(*self.pointers(array, 1), self.kind(array), 0, stream.ptr)

    def pointers(self, array: Array, count: int) -> tuple[int, ...]:
        """The address of an array, as often as it is asked for, and its length."""
        if not array.flags.c_contiguous:
            raise ValueError(f"NCCL: an array {array.shape} must lie in memory without gaps")
        return (*[array.data.ptr] * count, array.size)  # type: ignore[attr-defined]

    def kind(self, array: Array) -> int:
        """NCCL's number for the type of the elements."""
        names = {"e": "FLOAT16", "f": "FLOAT32", "d": "FLOAT64", "b": "INT8", "B": "UINT8", "i": "INT32", "q": "INT64",
                 "l": "INT64"}
        name = names.get(array.dtype.char)
        if name is None:
            raise TypeError(f"NCCL: elements of type {array.dtype} cannot be summed")
        return getattr(self.nccl, f"NCCL_{name}")            # type: ignore[no-any-return]

    def all_gather(self, value: Any) -> list[Any]:
        return self.host.all_gather(value)

    def barrier(self) -> None:
        self.host.barrier()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: copies of a model belong to the same ranks."""
        return self

    def leave(self, report: str, code: int) -> bool:
        return self.host.leave(report, code)

    def abort(self, report: str, code: int = 1) -> NoReturn:
        self.host.abort(report, code)


class Behind:
    """An operation on another stream, up to an event there."""

    def __init__(self, cuda: Any, event: Any) -> None:
        self.cuda, self.event = cuda, event

    def wait(self) -> None:
        """Let what is computed from now on wait for it; the host does not."""
        self.cuda.get_current_stream().wait_event(self.event)

    def test(self) -> bool:
        return bool(self.event.done)
