"""Memory for results, used again: `empty(shape, dtype)` in place of numpy.empty.

Each step of training makes the same large arrays anew. From the system they come as pages that must first be mapped and
cleared, one page fault for every 4 KiB, which can cost more than computing what goes into them; and when they are freed
the system takes them back. So large blocks are kept when the last array that uses them dies, and given out again. The
most recently freed block of a fitting size is the one most likely to be in the cache still.
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
        self.lock = threading.RLock()      # re-entrant: garbage collected under it may come back to it

    def take(self, size):
        """A spare block of `size` bytes or up to an eighth more, else a new one."""
        with self.lock:
            for i in range(len(self.spare) - 1, -1, -1):
                if size <= len(self.spare[i]) <= size + size // 8:
                    self.size -= len(self.spare[i])
                    return self.spare.pop(i)
        return aligned(size)

    def put(self, memory):
        """Keep a block; the least recently used ones make room for it."""
        with self.lock:
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
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE             # quicker to ask than .ctypes.data
    return memory[start:start + size]


def empty(shape, dtype):
    """A C-contiguous array of `shape`, not filled, as numpy.empty makes it, from the beginning of a cache line on."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size < SMALL:
        return aligned(size).view(dtype).reshape(shape)
    return np.asarray(Block(store.take(size), shape, dtype))
