"""`--distributed`: a program that a launcher, mpiexec or srun, has started several times.

From here on rank 0 alone prints, and an error of one rank ends all with one message.
"""

import os
import sys
from argparse import Namespace

from minidl import errors
from minidl.distributed import MPI, Communicator, DistributedError
from minidl.distributed.gpus import own_device
from minidl.distributed.mpi import NEEDED

# where launchers say which process this is, and of how many: Open MPI, MPICH and its relatives, Slurm
LAUNCHERS = (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
             ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"))


def join(args: Namespace) -> Communicator:
    """The communicator of all processes; args.device becomes that of this one."""
    rank, size = launched()
    errors.speaks = lambda error: rank == 0      # until MPI tells
    for name, flag in (("find_lr", "--find-lr"), ("evaluate", "--evaluate")):
        if getattr(args, name, False):
            raise ValueError(f"{flag} works in one process; leave out --distributed")
    try:
        communicator = MPI()
    except DistributedError as error:
        raise errors.for_command(error, str(error).replace("distributed training", "--distributed")) from None
    if size == 0 and communicator.size == 1:
        raise DistributedError(f"--distributed {NEEDED}; this process was started without a launcher")
    if size > 1 and communicator.size == 1:
        raise DistributedError(f"--distributed: {size} processes were started, but MPI connects none of them; use the "
                               "launcher of the MPI library that mpi4py has found: " +
                               communicator.library.Get_library_version().splitlines()[0])
    args.device = str(own_device(args.device, communicator))
    if communicator.rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (until the process ends)
    return communicator


def launched() -> tuple[int, int]:
    """(rank, number of processes) as the launcher says; (0, 0) without one."""
    for rank, size in LAUNCHERS:
        if os.environ.get(rank, "").isdecimal() and os.environ.get(size, "").isdecimal():
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 0
