"""The memory of a GPU: how much there is, what arrays have of it, and what an error says when there is no more."""

import re
import weakref
from typing import Any, NamedTuple

from minidl.device import Device

MIB, GIB = 2**20, 2**30
graphs: "weakref.WeakSet[Any]" = weakref.WeakSet()       # CUDA graphs, which have a `pool` of their own


class Held(NamedTuple):
    """Bytes: in arrays, kept by pools for arrays (these included), and free and in all on the GPU."""

    used: int
    kept: int
    free: int
    total: int


def held(device: Device) -> Held:
    """The memory of a GPU now. What pools keep is the most that arrays have needed: they give nothing back."""
    with device.current() as current:
        ours = [device.library.get_default_memory_pool(), *(graph.pool for graph in graphs)]
        return Held(sum(pool.used_bytes() for pool in ours), sum(pool.total_bytes() for pool in ours),
                    *map(int, current.mem_info))


def out_of_memory(error: MemoryError, device: Device) -> str:
    """What an error says that a GPU's memory was exhausted: what was asked for, what there is, and what helps."""
    asked = re.search(r"allocating ([\d,]+) bytes", str(error))
    now = held(device)
    return (f"{device} is out of memory: {size(int(asked[1].replace(',', ''))) + ' asked for, ' if asked else ''}"
            f"{size(now.used)} in arrays, {size(now.kept - now.used)} cached, {size(now.free)} of {size(now.total)} "
            "free; reduce the batch size, put blocks of the model into nn.Checkpoint, or train with amp")


def size(count: int) -> str:
    """Bytes as text."""
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / MIB:.1f} MiB"
