"""Some elements of an array, for dropout."""

from minidl.device import array_module
from minidl.kernels.gpu.elements import THREADS, blocks, ordered, restored, variant
from minidl.kernels.gpu.runtime.launcher import launch


def select(mask, x, scale):
    xp = array_module(x)
    order, (x, mask) = ordered(x, xp.broadcast_to(mask, x.shape))
    out = xp.empty_like(x)
    launch(x, "selection.cu", "select_elements", (blocks(x.size, 4),), (THREADS,), mask, x, out, x.size, scale,
           defines=variant(x.dtype))
    return restored(order, out)
