"""Memory for results, used again: `empty(shape, dtype)` in place of numpy.empty.

Each step of training makes the same large arrays anew. From the system they come as pages that must first be mapped and
cleared, one page fault for every 4 KiB, which can cost more than computing what goes into them; and when they are freed
the system takes them back. So large blocks are kept when the last array that uses them dies, and given out again. The
most recently freed block of a fitting size is the one most likely to be in the cache still. Where the system has no more
to give, the spare blocks go back to it first. The store counts what it lends, which is what the profiler reports.
"""

import threading

import numpy as np

SMALL = 128 * 1024         # below this, NumPy's own allocator does the same
SPARE = 256 * 1024**2      # at most so many bytes are kept unused
LINE = 64                  # bytes of a cache line: a vector that straddles two costs twice


class Block:
    """A stretch of memory that comes back to the store when the last array on it is gone."""

    __slots__ = ("__array_interface__", "bytes")

    def __init__(self, memory, shape, dtype):
        self.bytes = memory
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str, "data": (memory.ctypes.data, False)}

    def __del__(self):
        store.put(self.bytes)


class Store:
    """The blocks that nobody uses at the moment, the most recently used last."""

    def __init__(self):
        self.spare, self.size = [], 0
        self.lent = self.most = 0          # bytes in use now, and the most since `most` was last set
        self.total = 0                     # bytes handed out so far
        self.lock = threading.RLock()      # re-entrant: garbage collected under it may come back to it

    def take(self, size):
        """A spare block of `size` bytes or up to an eighth more, else a new one."""
        with self.lock:
            for i in range(len(self.spare) - 1, -1, -1):
                if size <= len(self.spare[i]) <= size + size // 8:
                    self.size -= len(self.spare[i])
                    return self.lend(self.spare.pop(i))
            return self.lend(aligned(size))

    def lend(self, memory):
        """Count a block that goes out."""
        self.lent += len(memory)
        self.most = max(self.most, self.lent)
        self.total += len(memory)
        return memory

    def put(self, memory):
        """Keep a block; the least recently used ones make room for it."""
        with self.lock:
            self.lent -= len(memory)
            self.spare.append(memory)
            self.size += len(memory)
            while self.size > SPARE:
                self.size -= len(self.spare.pop(0))

    def clear(self):
        """Give all spare blocks back to the system."""
        with self.lock:
            self.spare, self.size = [], 0


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
    """A C-contiguous array of `shape`, not filled, as numpy.empty makes it, from the beginning of a cache line on.

    Raises MemoryError that says how much was asked for.
    """
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    try:
        if size < SMALL:
            return aligned(size).view(dtype).reshape(shape)
        return np.asarray(Block(store.take(size), shape, dtype))
    except MemoryError as error:
        raise MemoryError(f"no memory for {size / 2**20:,.1f} MiB, an array {shape} of {dtype}") from error
