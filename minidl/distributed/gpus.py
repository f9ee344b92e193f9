"""A GPU for each rank: which one, and the communicator for arrays on it."""

from minidl.device import CPU, Device, DeviceError
from minidl.distributed.communicator import Communicator, DistributedError


def own_device(name: str | Device, host: Communicator) -> Device:
    """The device of this rank: the CPU, or a GPU of its own; "gpu" means the one with the number of the local rank.

    Raises DistributedError, on all ranks, if two would share a GPU, or one has none.
    """
    wanted = f"gpu:{host.local_rank}" if str(name) in ("gpu", "cuda") else name
    device, fault = CPU, ""
    try:
        device = Device.parse(wanted)
    except DeviceError as error:
        fault = str(error)
    said = host.all_gather([host.machine, str(device), fault])
    for rank, (_, _, problem) in enumerate(said):
        if problem:
            raise DistributedError(f"rank {rank} has no GPU of its own: {problem}; start one rank for each GPU of a "
                                   "machine")
    places = [tuple(each[:2]) for each in said if each[1] != "cpu"]
    if len(set(places)) < len(places):
        raise DistributedError(f"{name} would be the device of several ranks; gpu, with no number, gives each its own")
    return device


def with_device(host: Communicator, device: Device) -> Communicator:
    """The communicator for arrays on a device: that of the host, for the CPU, or else NCCL."""
    if device == CPU:
        return host
    from minidl.distributed.nccl import NCCL
    return NCCL(host, device)
