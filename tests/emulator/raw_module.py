"""cupy.RawModule without a GPU, and without trust.

`RawModule(code=..., options=...).get_function(name)(grid, block, args, shared_mem=0)` as in CuPy. An argument must be
of the type that the kernel's signature says, an array must be C-contiguous, a structure must have the size of the
kernel's. Arrays that the kernel may not write (`const`) cannot be written during a launch; what lies beside an array
must be as it was. Each launch draws a new order of threads and blocks, and `twice()` compares the bits of two.
"""

import contextlib
import ctypes
import re

import numpy as np
import strict_cuda

from emulator.build import compiled
from emulator.fence import READ_ONLY, READ_WRITE, fence_at, fence_of
from minidl.kernels.gpu.runtime.source import signatures


class LaunchError(RuntimeError):
    """What a kernel did that a GPU would not forgive, or would forgive silently."""


class RawModule:
    """As much of cupy.RawModule as minidl uses."""

    def __init__(self, *, code, options=(), backend="nvrtc"):
        self.kernels = signatures(code, options)
        defines = tuple(option for option in options if option.startswith("-D"))
        self.library = ctypes.PyDLL(str(compiled(code, defines, self.kernels)))          # one launch at a time

    def get_function(self, name):
        return Kernel(name, self.kernels[name], self.library)


class Kernel:
    """One kernel of a module. `Kernel.seed` is the seed of the latest launch."""

    seed = 0
    compared = False                                     # whether each launch runs twice, in two orders
    max_dynamic_shared_size_bytes = 48 * 1024

    def __init__(self, name, parameters, library):
        self.name, self.parameters = name, parameters
        self.function = getattr(library, f"launch_{name}")
        self.function.restype = ctypes.c_char_p
        self.sizes = (ctypes.c_ulong * max(1, len(parameters))).in_dll(library, f"sizes_of_{name}")

    def __call__(self, grid, block, args, *, shared_mem=0):
        grid, block = ((tuple(g) + (1, 1))[:3] for g in (grid, block))
        self.check_shape(grid, block, shared_mem)
        if len(args) != len(self.parameters):
            raise LaunchError(f"{self.name} takes {len(self.parameters)} arguments, not {len(args)}")
        held = [self.argument(i, a) for i, a in enumerate(args)]
        strict_cuda.launches[self.name] += 1
        recording = strict_cuda.current.streams[-1].recording
        if recording is not None:                        # a captured launch is not made now
            recording.launched(self, grid, block, args, shared_mem)
            return
        fences = self.fences(args)

        def run():
            Kernel.seed += 1
            pointers = (ctypes.c_void_p * max(1, len(held)))(*(h.ctypes.data for h in held))
            shape = (ctypes.c_uint * 6)(*grid, *block)
            fault = self.function(shape, ctypes.c_size_t(shared_mem), Kernel.seed, pointers)
            self.check(fault, fences)
        with read_only(fences):
            self.run_twice(run, fences) if Kernel.compared else run()

    def check_shape(self, grid, block, shared_mem):
        threads = block[0] * block[1] * block[2]
        if not (1 <= threads <= 1024 and block[2] <= 64 and min(grid) >= 1 and grid[0] < 2**31 and max(grid[1:]) < 2**16
                and shared_mem <= min(227 * 1024, self.max_dynamic_shared_size_bytes)):
            raise LaunchError(f"{self.name}: grid {grid}, block {block}, shared memory {shared_mem} cannot be launched")

    def argument(self, i, arg):
        """A NumPy array that holds what the kernel gets as its parameter i, after checks."""
        parameter, size = self.parameters[i], self.sizes[i]
        what, wanted = f"{self.name}: argument {parameter.name}", parameter.dtype
        if parameter.pointer:
            if arg is None:
                return np.zeros(1, np.uint64)
            if fence_of(getattr(arg, "held", None)) is None:
                raise LaunchError(f"{what} must be an array of the device, not {type(arg).__name__}")
            if wanted is not None and arg.dtype != wanted:
                raise LaunchError(f"{what} holds {arg.dtype}, and the kernel takes {parameter.type}")
            if not arg.flags.c_contiguous:
                raise LaunchError(f"{what} is not C-contiguous: shape {arg.shape}, strides {arg.strides}")
            return np.array([arg.data.ptr], np.uint64)
        if not isinstance(arg, np.ndarray | np.generic) or arg.size != 1:
            raise LaunchError(f"{what} must be a NumPy scalar or an array of one structure, not {type(arg).__name__}")
        if wanted is not None and arg.dtype != wanted:
            raise LaunchError(f"{what} is {arg.dtype}, and the kernel takes {parameter.type}")
        if arg.dtype.itemsize != size:
            raise LaunchError(f"{what} has {arg.dtype.itemsize} bytes, and {parameter.type} has {size}")
        return np.array(arg).reshape(1)

    def fences(self, args):
        """{Fence: (what it is, whether the kernel may write to it)}, with what the addresses in structures lead to."""
        found = {}
        for parameter, arg in zip(self.parameters, args, strict=True):
            if parameter.pointer and arg is not None:
                fence, write = fence_of(arg.held), not parameter.constant
                found[fence] = f"argument {parameter.name}", write or found.get(fence, ("", False))[1]
            elif not parameter.pointer and arg.dtype.names:
                for name in arg.dtype.names:
                    for address in np.unique(arg[name]) if arg.dtype[name].base == np.uint64 else ():
                        if fence := fence_at(int(address)):
                            found[fence] = f"an array of {parameter.name}.{name}", True
        return found

    def check(self, fault, fences):
        """Raise LaunchError if a launch ended early, or wrote beside its arrays."""
        if fault:
            fault = fault.decode()
            address = re.search(r"address (0x[0-9a-f]+)", fault)
            near = [f"{place} of {what}" for fence, (what, _) in fences.items() if address
                    for place in [fence.near(int(address[1], 16))] if place]
            if any(place.startswith("inside") for place in near):
                fault = fault.replace("no memory at", "must not write to")
            fault = ", ".join([fault, *near])
            raise LaunchError(f"{self.name}: {fault} (seed {Kernel.seed})")
        for fence, (what, _) in fences.items():
            if fence.written_around():
                raise LaunchError(f"{self.name} wrote outside of {what} (seed {Kernel.seed})")

    def run_twice(self, run, fences):
        """Run in two orders, and raise LaunchError unless both leave the same bits."""
        written = [(np.asarray(fence), what) for fence, (what, write) in fences.items() if write]
        before = [memory.copy() for memory, _ in written]
        run()
        first = [memory.copy() for memory, _ in written]
        for (memory, _), old in zip(written, before, strict=True):
            memory[:] = old
        run()
        for (memory, what), once in zip(written, first, strict=True):
            if (different := np.flatnonzero(memory != once)).size:
                raise LaunchError(f"{self.name}: {what} depends on the order of threads and blocks, first at byte "
                                  f"{different[0]} of {memory.size} (seeds {Kernel.seed - 1} and {Kernel.seed})")


@contextlib.contextmanager
def read_only(fences):
    """Nobody may write to the arrays that the kernel takes as `const`."""
    protected = [fence for fence, (_, write) in fences.items() if not write]
    for fence in protected:
        fence.allow(READ_ONLY)
    try:
        yield
    finally:
        for fence in protected:
            fence.allow(READ_WRITE)


@contextlib.contextmanager
def twice():
    """Run each launch twice, in two orders of threads and blocks; LaunchError if the results differ in any bit."""
    before, Kernel.compared = Kernel.compared, True
    try:
        yield
    finally:
        Kernel.compared = before
