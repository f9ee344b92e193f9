"""The communicator on MPI, by mpi4py (Dalcin and Fang, 2021): for arrays of NumPy.

Values that are no arrays travel as JSON: nothing that another rank sends is ever executed.
"""

import json
import os
import sys
from typing import Any, NoReturn, Self

import numpy as np

from minidl.distributed.communicator import Request

NEEDED = ("--distributed needs mpi4py and an MPI library: pip install 'minidl[mpi]'; then start the program with "
          "mpiexec -n RANKS python ...")


class DistributedError(RuntimeError):
    """Ranks that cannot work together."""


class MPI:
    """All processes that a launcher of MPI (mpiexec, srun) has started."""

    def __init__(self) -> None:
        try:
            from mpi4py import MPI as library
        except (ImportError, RuntimeError) as error:         # RuntimeError: mpi4py finds no MPI library
            raise DistributedError(f"{NEEDED} ({str(error).splitlines()[0]})") from error
        self.library, self.world = library, library.COMM_WORLD.Dup()         # apart from other users of MPI
        self.world.Set_errhandler(library.ERRORS_RETURN)
        self.rank, self.size = self.world.Get_rank(), self.world.Get_size()
        here = self.world.Split_type(library.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.Get_rank(), here.Get_size()
        here.Free()

    def start_all_reduce(self, array: np.ndarray) -> Request:
        return Pending(self.world.Iallreduce(self.library.IN_PLACE, array))

    def all_reduce(self, array: np.ndarray) -> None:
        self.world.Allreduce(self.library.IN_PLACE, array)

    def broadcast(self, array: np.ndarray) -> None:
        self.world.Bcast(array)

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
        self.world.Barrier()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: copies of a model belong to the same ranks."""
        return self

    def abort(self, reason: str) -> NoReturn:
        sys.stdout.flush()
        print(f"rank {self.rank} of {self.size}: {reason}", file=sys.stderr, flush=True)
        self.world.Abort(1)
        os._exit(1)                              # if MPI came back


class Pending:
    """An operation of MPI that has begun."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def wait(self) -> None:
        self.request.Wait()

    def test(self) -> bool:
        return bool(self.request.Test())
