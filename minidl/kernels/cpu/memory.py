"""Memory for results, used again: `empty(shape, dtype)` in place of numpy.empty.

Each step of training makes the same large arrays anew. From the system they come as pages that must first be mapped and
cleared, one page fault for every 4 KiB, which can cost more than computing what goes into them; and when they are freed
the system takes them back. So large blocks are kept when the last array that uses them dies, and given out again. The
most recently freed block of a fitting size is the one most likely to be in the cache still. Blocks in use and spare
ones together take no more than those in use once took, and a little: keeping them hardly raises the peak. And where the
system has no more to give, it first gets the spare ones back.
"""

import math
import threading

import numpy as np

SLACK = 32 * 1024**2       # bytes by which they may; with none, blocks of many sizes would be given back and made anew
TINY = 16 * 1024           # below this, alignment is not worth the trouble
SMALL = 128 * 1024         # below this, NumPy's own allocator does the same
LINE = 64                  # bytes of a cache line: a vector that straddles two costs twice


class Memory(np.ndarray):
    """Bytes that remember their `address`, which NumPy takes a microsecond to tell."""


class Block:
    """A stretch of memory that comes back to the store when the last array on it is gone."""

    __slots__ = ("__array_interface__", "bytes")

    def __init__(self, memory, shape, dtype):
        self.bytes = memory
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str, "data": (memory.address, False)}

    def __del__(self):
        store.put(self.bytes)


class Store:
    """The blocks that nobody uses at the moment, the most recently used last."""

    def __init__(self):
        self.spare, self.spare_bytes = [], 0
        self.used_bytes, self.peak = 0, 0
        self.given_bytes = self.watermark = 0        # all ever given out; the most in use since it was last set
        self.lock = threading.RLock()      # re-entrant: garbage collected under it may come back to it

    def take(self, size):
        """A spare block of `size` bytes or up to an eighth more, else a new one."""
        with self.lock:
            memory = self.fitting(size)
            if memory is None:
                memory = aligned(size).view(Memory)
                memory.address = memory.__array_interface__["data"][0]
            self.used_bytes += len(memory)
            self.given_bytes += len(memory)
            self.peak, self.watermark = max(self.peak, self.used_bytes), max(self.watermark, self.used_bytes)
            self.shrink()
            return memory

    def fitting(self, size):
        """Take a block that fits from the spare ones; None if there is none."""
        for i in range(len(self.spare) - 1, -1, -1):
            if size <= len(self.spare[i]) <= size + size // 8:
                self.spare_bytes -= len(self.spare[i])
                return self.spare.pop(i)
        return None

    def put(self, memory):
        """Keep a block; the least recently used ones make room for it."""
        with self.lock:
            self.spare.append(memory)
            self.spare_bytes += len(memory)
            self.used_bytes -= len(memory)
            self.shrink()

    def shrink(self):
        """Give spare blocks back to the system, the oldest first, while there are too many."""
        while self.spare and self.used_bytes + self.spare_bytes > self.peak + SLACK:
            self.spare_bytes -= len(self.spare.pop(0))

    def clear(self):
        """Give all spare blocks back to the system, and begin anew to see how much is needed."""
        with self.lock:
            self.spare, self.spare_bytes, self.peak = [], 0, self.used_bytes


store = Store()


def aligned(size):
    """So many bytes, new, from the beginning of a cache line on."""
    try:
        memory = np.empty(size + LINE, np.uint8)
    except MemoryError:
        store.clear()
        memory = np.empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE             # quicker to ask than .ctypes.data
    return memory[start:start + size]


def empty(shape, dtype):
    """A C-contiguous array of `shape`, not filled, as numpy.empty makes it; the larger ones begin with a cache line.

    Raises MemoryError that tells how much was asked for.
    """
    dtype = np.dtype(dtype)
    size = dtype.itemsize * math.prod(shape)
    if size < TINY:
        return np.empty(shape, dtype)
    try:
        if size < SMALL:
            return np.ndarray(shape, dtype, aligned(size))
        return np.asarray(Block(store.take(size), shape, dtype))
    except MemoryError as error:
        amount = f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
        raise MemoryError(f"no memory for {amount}, an array {shape} of {dtype}") from error
