"""Device memory of the strict array: each array between two pages that nobody may touch.

An array ends at the second of these pages, up to 15 bytes, so a read or write beyond its end is noticed at once, one
before its start at the latest where the page of its start ends. The bytes between are compared after each launch. New
memory is filled with ones, which are NaN: what a kernel did not write shows. The bytes after an array are NaN, too, in
every type of floats, but another one for each array: one that was read behind one array and written behind another
shows.
"""

import ctypes
import mmap
import weakref

import numpy as np

PAGE = mmap.PAGESIZE
KEPT_PAGES = 64                                      # a larger piece of memory is given back at once
NOBODY, READ_ONLY, READ_WRITE = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
kept: dict[int, list] = {}                           # {pages: memory for later}
live: "weakref.WeakValueDictionary[int, Fence]" = weakref.WeakValueDictionary()          # {first address: Fence}


class Fence:
    """`size` bytes of device memory at the address `ptr`, which CuPy calls `array.data.mem`."""

    device_id = 0
    made = 0                                         # how many there ever were

    def __init__(self, size):
        Fence.made += 1
        self.size = size
        self.pages = max(1, -(-size // PAGE))
        spare = kept.setdefault(self.pages, [])
        self.memory = spare.pop() if spare else mapped(self.pages)
        self.first = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) + PAGE      # of the pages between
        self.ptr = self.first + self.pages * PAGE - -(-size // 16) * 16
        ctypes.memset(self.first, 255, self.pages * PAGE)
        self.__array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (self.ptr, False), "version": 3}
        self.bytes_around = np.frombuffer(self.memory, np.uint8, self.pages * PAGE, PAGE)
        self.after = self.bytes_around[self.ptr - self.first + size:]
        self.after[-size % 2::2] = 240 + Fence.made % 15         # every lower byte of two; 240 keeps exponents full
        self.end = self.after.tobytes()
        live[self.ptr] = self

    def __del__(self):
        if self.pages <= KEPT_PAGES:
            kept[self.pages].append(self.memory)

    def written_around(self):
        """Whether the bytes beside the array are no longer what they were."""
        return bool((self.bytes_around[:self.ptr - self.first] != 255).any() or self.after.tobytes() != self.end)

    def allow(self, access):
        protect(self.first, self.pages, access)

    def near(self, address):
        """Where an address lies beside the array, or None if it is not near."""
        if self.first - PAGE <= address < self.ptr:
            return f"{self.ptr - address} bytes before the start"
        if self.ptr + self.size <= address < self.first + (self.pages + 1) * PAGE:
            return f"{address - self.ptr - self.size} bytes after the end"
        return "inside" if self.ptr <= address < self.ptr + self.size else None


def mapped(pages):
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect(first, 1, NOBODY)
    protect(first + (pages + 1) * PAGE, 1, NOBODY)
    return memory


def protect(address, pages, access):
    if libc.mprotect(address, pages * PAGE, access):
        raise MemoryError(f"mprotect: error {ctypes.get_errno()}; perhaps too many arrays are alive")


def fence_of(array):
    """The Fence that holds a NumPy array's memory, or None."""
    while array is not None and not isinstance(array, Fence):
        array = getattr(array, "base", None)
    return array


def fence_at(address):
    """The Fence of an array at an address, or None: for addresses in tables."""
    if address in live:
        return live[address]
    return next((f for f in list(live.values()) if f.ptr <= address < f.ptr + f.size), None)


def fenced(array):
    """The same values, shape and strides in memory with fences: the array itself if it has them."""
    if fence_of(array) is not None:
        return array
    low, high = np.lib.array_utils.byte_bounds(array) if array.size else (array.ctypes.data, array.ctypes.data)
    memory = np.asarray(Fence(high - low))
    ctypes.memmove(memory.ctypes.data, low, high - low)
    return np.ndarray(array.shape, array.dtype, memory, array.ctypes.data - low, array.strides)


def empty(shape, dtype=float, order="C"):
    """numpy.empty, with fences; every float is NaN."""
    dtype = np.dtype(dtype)
    memory = np.asarray(Fence(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize))
    return np.ndarray(shape, dtype, memory, order=order)
