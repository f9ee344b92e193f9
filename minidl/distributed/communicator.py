"""What the ranks of a program say to each other: the few collective operations that data-parallel training needs.

Every rank calls the same operations in the same order. `mpi.py` implements them for arrays of NumPy with MPI, `nccl.py`
for arrays of CuPy with NCCL. `Alone` is a program of one process: it says nothing to anybody.
"""

import sys
import traceback
from typing import Any, NoReturn, Protocol, Self

import numpy as np

from minidl.errors import exit_code, sentence


class DistributedError(RuntimeError):
    """Ranks that cannot work together."""

    exit_code = 2                                # of a command that ends with it, see `errors.py`


class Request(Protocol):
    """An operation that has begun."""

    def wait(self) -> None:
        """Return when the arrays hold the result; on a GPU, when later work there will find it in them."""

    def test(self) -> bool:
        """Whether they do. MPI makes progress in such calls only: see `progress.py`."""


class Communicator(Protocol):
    """The ranks of a program.

    rank, size              the number of this process, and how many there are
    local_rank, local_size  the same among the processes on this machine
    machine                 the lowest rank on this machine
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    machine: int

    @property
    def host(self) -> "Communicator":
        """The same ranks, for arrays of NumPy."""

    def start_all_reduce(self, array: Any) -> Request:
        """Begin to replace an array, in place, by the sum of those of all ranks; it is not touched meanwhile."""

    def start_all_reduce_bfloat16(self, bits: Any) -> Request:
        """The same for numbers in bfloat16: an array (N,) of their bits as uint16."""

    def all_reduce(self, array: Any) -> None:
        """Replace an array, in place, by the sum of those of all ranks: the same bits on every rank."""

    def broadcast(self, array: Any) -> None:
        """Replace an array, in place, by that of rank 0."""

    def all_gather(self, value: Any) -> list[Any]:
        """The value of each rank, numbers, texts, or lists and dictionaries of them, on every rank."""

    def barrier(self) -> None:
        """Return when all ranks have called this."""

    def leave(self, report: str, code: int) -> bool:
        """Tell the others that this rank has failed; returns, if all have, whether it is the one to say why.

        If others go on, all ranks end, with this report on stderr and this exit code.
        """

    def abort(self, report: str, code: int = 1) -> NoReturn:
        """End all ranks at once, with this report on stderr and this exit code."""


def fail(communicator: Communicator, error: BaseException) -> bool:
    """End after an error: all ranks, unless all fail as well; then, whether this one is to report it."""
    code = exit_code(error)
    report = "".join(traceback.format_exception(error)) if code is None else sentence(error)
    return communicator.leave(report.rstrip(), 1 if code is None else code)


class Done:
    """A request that has nothing left to do."""

    def wait(self) -> None:
        pass

    def test(self) -> bool:
        return True


class Alone:
    """The communicator of a single process."""

    rank, size, local_rank, local_size, machine = 0, 1, 0, 1, 0

    @property
    def host(self) -> Self:
        return self

    def start_all_reduce(self, array: np.ndarray) -> Done:
        return Done()

    def start_all_reduce_bfloat16(self, bits: np.ndarray) -> Done:
        return Done()

    def all_reduce(self, array: np.ndarray) -> None:
        pass

    def broadcast(self, array: np.ndarray) -> None:
        pass

    def all_gather(self, value: Any) -> list[Any]:
        return [value]

    def barrier(self) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: copies of a model belong to the same ranks."""
        return self

    def leave(self, report: str, code: int) -> bool:
        return True

    def abort(self, report: str, code: int = 1) -> NoReturn:
        print(report, file=sys.stderr)
        sys.exit(code)
