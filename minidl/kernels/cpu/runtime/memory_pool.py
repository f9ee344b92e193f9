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
SMALL = 16 * 1024          # below this, NumPy's own allocator does the same, but that it aligns nothing
LINE = 64                  # bytes of a cache line: a vector that straddles two costs twice


class Memory(np.ndarray):
    """Bytes of the store. Of a type of their own, lest NumPy let an array hold on to them rather than to its Block."""


class Block(np.ndarray):
    """What the arrays on a Memory hold on to: when the last of them is gone, so is this, and the store has it back."""

    def __del__(self):
        if type(self.base) is Memory:              # not a part of a block, which holds on to that
            store.put(self.base)


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
                memory = self.new(size)
            self.given_bytes += len(memory)
            self.used_bytes += len(memory)
            self.peak, self.watermark = max(self.peak, self.used_bytes), max(self.watermark, self.used_bytes)
            return memory

    def fitting(self, size):
        """Take a block that fits from the spare ones; None if there is none."""
        most = size + size // 8
        for i in range(len(self.spare) - 1, -1, -1):
            if size <= len(self.spare[i]) <= most:
                self.spare_bytes -= len(self.spare[i])
                return self.spare.pop(i)
        return None

    def new(self, size):
        """A new block; if there are too many bytes with it, the least recently used spare ones make room."""
        memory, used = aligned(size).view(Memory), self.used_bytes + size
        while self.spare and used + self.spare_bytes > max(used, self.peak) + SLACK:
            self.spare_bytes -= len(self.spare.pop(0))
        return memory

    def put(self, memory):
        """Keep a block that is no longer used."""
        with self.lock:
            self.spare.append(memory)
            self.spare_bytes += len(memory)
            self.used_bytes -= len(memory)

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
    if size < SMALL:
        return np.empty(shape, dtype)
    try:
        return np.ndarray(shape, dtype, store.take(size).view(Block))
    except MemoryError as error:
        amount = f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
        raise MemoryError(f"no memory for {amount}, an array {shape} of {dtype}") from error
