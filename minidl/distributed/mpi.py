"""The communicator on MPI, by mpi4py (Dalcin and Fang, 2021): for arrays of NumPy.

Values that are no arrays travel as JSON: nothing that another rank sends is ever executed.
"""

import json
import os
import sys
import time
from typing import Any, NoReturn, Self

import numpy as np

from minidl import errors
from minidl.distributed.affinity import take_cores
from minidl.distributed.bfloat16 import Sums
from minidl.distributed.communicator import DistributedError, Request, fail
from minidl.distributed.progress import Progress
from minidl.text import write

NEEDED = ("needs mpi4py and an MPI library: pip install 'minidl[mpi]'; then start the program with "
          "mpiexec -n RANKS python ...")
MOST = 1 << 30                                   # bytes in one message: MPI counts in 32 bits
PATIENCE = 3.0                                   # seconds in which other ranks fail too, if they fail for one reason
PAUSE = 0.001                                    # seconds between looks at what others have done


class MPI:
    """All processes that a launcher of MPI (mpiexec, srun) has started. Make it before anything computes.

    own_cores   each rank uses cores of its own from now on, of those that the launcher has left to it
    """

    def __init__(self, own_cores: bool = True) -> None:
        try:
            from mpi4py import MPI as library
        except (ImportError, RuntimeError) as error:         # RuntimeError: mpi4py finds no MPI library
            raise DistributedError(f"distributed training {NEEDED} ({str(error).splitlines()[0]})") from error
        self.library, self.world = library, library.COMM_WORLD.Dup()         # apart from other users of MPI
        self.rank, self.size = self.world.Get_rank(), self.world.Get_size()
        here = self.world.Split_type(library.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.Get_rank(), here.Get_size()
        self.machine = here.allgather(self.rank)[0]
        here.Free()
        self.failures, self.rounds = self.world.Dup(), 0
        self.sums_of_bfloat16 = Sums(self.world, library.IN_PLACE)
        self.progress = Progress(threads=library.Query_thread() == library.THREAD_MULTIPLE)
        self.reported: BaseException | None = None
        errors.speaks, sys.excepthook = self.reports, self.uncaught
        if own_cores:
            take_cores(self)

    @property
    def host(self) -> Self:
        return self

    def start_all_reduce(self, array: np.ndarray) -> Request:
        return self.progress.start(lambda: Pending(self.world.Iallreduce(self.library.IN_PLACE, array)))

    def start_all_reduce_bfloat16(self, bits: np.ndarray) -> Request:
        return self.progress.start(self.sums_of_bfloat16.start, bits)

    def all_reduce(self, array: np.ndarray) -> None:
        self.world.Allreduce(self.library.IN_PLACE, array)

    def broadcast(self, array: np.ndarray) -> None:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for first in range(0, flat.size, MOST):
            self.world.Bcast(flat[first:first + MOST])
        if not np.may_share_memory(flat, array):
            array[...] = flat.view(array.dtype).reshape(array.shape)

    def all_gather(self, value: Any) -> list[Any]:
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        lengths = np.zeros(self.size, np.int64)
        lengths[self.rank] = text.size
        self.all_reduce(lengths)
        everything = np.empty(lengths.sum(), np.uint8)
        self.world.Allgatherv(text, [everything, lengths])
        ends = np.cumsum(lengths)
        return [json.loads(everything[end - length:end].tobytes()) for end, length in zip(ends, lengths, strict=True)]

    def barrier(self) -> None:
        request = self.world.Ibarrier()
        while not request.Test():                # asleep: a rank may wait here for minutes
            time.sleep(PAUSE)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: copies of a model belong to the same ranks."""
        return self

    def leave(self, report: str, code: int) -> bool:
        failed = self.failed()
        if len(failed) == self.size:
            return self.rank == 0
        if self.rank != min(failed):             # one of them speaks, and ends this rank, too
            time.sleep(PATIENCE)
        return self.abort(report, code)

    def reports(self, error: BaseException) -> bool:
        """Whether this rank reports the error that ends a command, see `errors.py`."""
        self.reported = error
        return fail(self, error)

    def uncaught(self, kind: Any, error: BaseException, trace: Any) -> None:
        """What Python does for an error that nobody catches: then the others must not wait for this rank for ever."""
        if error is self.reported or fail(self, error):
            sys.__excepthook__(kind, error, trace)

    def failed(self) -> set[int]:
        """The ranks that fail now, or within some seconds."""
        self.rounds += 1                         # which keeps this failure apart from an earlier one
        for other in set(range(self.size)) - {self.rank}:
            self.failures.Isend([b"", self.library.BYTE], other, self.rounds)
        failed, end, status = {self.rank}, time.monotonic() + PATIENCE, self.library.Status()
        while len(failed) < self.size and time.monotonic() < end:
            while self.failures.Iprobe(self.library.ANY_SOURCE, self.rounds, status):
                self.failures.Recv([bytearray(), self.library.BYTE], status.source, self.rounds)
                failed.add(status.source)
            time.sleep(PAUSE)
        return failed

    def abort(self, report: str, code: int = 1) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        write(f"rank {self.rank} of {self.size}: {report}", sys.stderr, flush=True)
        self.world.Abort(code)
        os._exit(code)                           # if MPI came back


class Pending:
    """An operation of MPI that has begun."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def wait(self) -> None:
        self.request.Wait()

    def test(self) -> bool:
        return bool(self.request.Test())
