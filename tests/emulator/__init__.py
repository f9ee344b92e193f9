"""CUDA C on the CPU, slowly and strictly: kernels of .cu files run as C++, on memory between fences.

    emulate.h, instructions.h    threads as fibers, barriers, warps, tensor cores, asynchronous copies
    build.py                     a source as a library, by g++
    raw_module.py                CuPy's RawModule over it, with checks of all arguments
    fence.py                     memory of arrays, with pages around it that cannot be touched

docs/gpu.md says what this can find, and what only a GPU can.
"""

from emulator.build import SourceError, missing
from emulator.fence import Fence, empty, fence_of, fenced
from emulator.raw_module import Kernel, LaunchError, RawModule, twice

__all__ = ["Fence", "Kernel", "LaunchError", "RawModule", "SourceError", "empty", "fence_of", "fenced", "missing",
           "twice"]
