"""A caching allocator for results: `empty(shape, dtype)` in place of numpy.empty.

Every training step makes the same large arrays again. From the system they come as pages that must first be mapped and
cleared, one page fault for every 4 KiB, which can cost more than computing their contents; when they are freed the
system takes the pages back. The pool therefore caches a large block when the last array on it dies, and reuses the most
recently freed block of a fitting size, which is the one most likely to be in the processor's cache.

Live and cached blocks together never exceed the peak of live bytes by more than SLACK, so caching hardly raises peak
memory. At that limit an array gets a block of up to WASTE times its size, rather than that blocks are released which
the next step would have to map again. Where the system has no more memory to give, the cached blocks are released
first.
"""

import math
import threading

import numpy as np

from minidl.traced import Traced, now

SLACK = 32 * 1024**2       # cached bytes allowed beyond the peak of live bytes; with none, mixed sizes would thrash
SMALL = 16 * 1024          # below this size NumPy's own allocator caches too, though it aligns nothing
WASTE = 8                  # the rest of such a block lies idle, and counts as live
LINE = 64                  # bytes of a cache line: a vector that straddles two lines costs twice


class Memory(np.ndarray):
    """The bytes of one block. A type of its own, so that NumPy makes views hold the Block, not these bytes."""

    pool = None                                    # the MemoryPool that it returns to


class Block(np.ndarray):
    """What arrays on a Memory hold. It is freed with the last of them, and returns the memory to the pool."""

    def __del__(self):
        if type(self.base) is Memory:              # a view of a Block has that Block as its base
            self.base.pool.free(self.base)


class MemoryPool:
    """The cached blocks, the most recently freed last, and counts of bytes.

    live_bytes are in use now, peak_bytes the most that ever were, cached_bytes kept for reuse, and total_bytes all that
    were ever allocated. high_water_bytes is the most in use since a caller last set it to live_bytes.
    """

    def __init__(self):
        self.cached, self.cached_bytes = [], 0
        self.live_bytes = self.peak_bytes = self.total_bytes = self.high_water_bytes = 0
        self.lock = threading.RLock()      # re-entrant: a signal handler or a finalizer may run while it is held

    def allocate(self, size):
        """A cached block of `size` bytes, or up to an eighth more; else a new one, or a much larger one: see above.

        A signal handler may allocate and free after any call made here, so that each statement that changes a count or
        takes a block is one step: it calls nothing between reading and writing.
        """
        with self.lock:
            memory = self.take_cached(size, size + size // 8)
            if memory is None and self.excess(size) > 0:
                memory = self.take_cached(size, WASTE * size)
            if memory is None:
                memory = self.allocate_new(size)
            size = len(memory)
            self.total_bytes += size
            self.live_bytes += size
            if self.live_bytes > self.peak_bytes:
                self.peak_bytes = self.live_bytes
            if self.live_bytes > self.high_water_bytes:
                self.high_water_bytes = self.live_bytes
            return memory

    def take_cached(self, size, largest):
        """Remove a block of `size` to `largest` bytes from the cache and return it; None if there is none."""
        try:
            for i in range(len(self.cached) - 1, -1, -1):
                if size <= len(self.cached[i]) <= largest:
                    memory = self.cached.pop(i)
                    found = len(memory)
                    self.cached_bytes -= found
                    if size <= found <= largest:
                        return memory
                    self.cache(memory)             # another one: a handler has changed the list meanwhile
        except IndexError:                         # so, too
            pass
        return None

    def allocate_new(self, size):
        """A new block. If that makes too many bytes, the least recently freed cached blocks are released."""
        memory = aligned(size).view(Memory)
        memory.pool = self
        while self.excess(size) > 0 and self.cached:
            released = self.cached.pop(0)
            released = len(released)
            self.cached_bytes -= released
        return memory

    def excess(self, size):
        """How many bytes more than allowed there would be with `size` more in use."""
        live = self.live_bytes + size
        return live + self.cached_bytes - max(live, self.peak_bytes) - SLACK

    def cache(self, memory):
        """Keep a block for reuse."""
        size = len(memory)
        self.cached.append(memory)
        self.cached_bytes += size

    def free(self, memory):
        """Cache a block that is no longer in use."""
        size = len(memory)
        with self.lock:
            self.cache(memory)
            self.live_bytes -= size

    def clear(self):
        """Release all cached blocks to the system, and start a new peak."""
        with self.lock:
            self.cached, self.cached_bytes, self.peak_bytes = [], 0, self.live_bytes


class KeptPool(MemoryPool):
    """A pool that keeps every block that was ever in use: a captured step knows their addresses."""

    def __init__(self):
        super().__init__()
        self.used = {}

    def allocate(self, size):
        """A block, which is kept from now on."""
        memory = super().allocate(max(size, LINE))
        self.used[id(memory)] = memory
        return memory

    def allocate_new(self, size):
        """An own cached block of up to twice the size, as none can be released; else one of the usual pool; else a new
        one, for which the usual pool gives up as many bytes as it can.
        """
        if (memory := self.take_cached(size, 2 * size)) is not None:
            return memory
        with pool.lock:
            memory, missing = pool.take_cached(size, size + size // 8), size
            while memory is None and missing > 0 and pool.cached:
                released = len(pool.cached.pop(0))
                pool.cached_bytes -= released
                missing -= released
        memory = aligned(size).view(Memory) if memory is None else memory
        memory.pool = self
        return memory

    def excess(self, size):
        """What was used is never released."""
        return 0


pool = MemoryPool()
system_empty = np.empty


def aligned(size):
    """`size` new bytes that start on a cache line."""
    try:
        memory = system_empty(size + LINE, np.uint8)
    except MemoryError:
        pool.clear()
        memory = system_empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE             # faster than .ctypes.data
    return memory[start:start + size]


def empty(shape, dtype):
    """An uninitialised C-contiguous array, as from numpy.empty; large ones start on a cache line.

    Raises MemoryError that says how much was asked for.
    """
    dtype = np.dtype(dtype)
    size = dtype.itemsize * math.prod(shape)
    if size < SMALL and now.pool is None:
        return np.empty(shape, dtype)
    try:
        made = np.ndarray(shape, dtype, (now.pool or pool).allocate(size).view(Block))
        return made if now.recording is None else made.view(Traced)
    except MemoryError as error:
        amount = f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
        raise MemoryError(f"no memory for {amount}, an array {shape} of {dtype}") from error
