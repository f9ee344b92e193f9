"""Data-parallel training by several processes, the ranks: `mpiexec -n 4 python train.py --distributed`.

Every rank has the whole model and its part of each batch. Gradients are summed over the ranks, so all take the same
step. docs/distributed.md tells how to start the ranks, on one machine or on several.
"""

from minidl.distributed.communicator import Alone, Communicator, DistributedError, fail
from minidl.distributed.gradients import GradientSum
from minidl.distributed.mpi import MPI

__all__ = ["MPI", "Alone", "Communicator", "DistributedError", "GradientSum", "fail"]
