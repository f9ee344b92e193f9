"""What stands in for `cupy.cuda` on machines without a GPU: devices, streams, events, pinned memory and memory pools.

It belongs to `strict_array.py`, whose arrays know their device. `runtime.devices` says how many devices there are;
`read_backs` lists what was copied to the host, and by which line of minidl; `launches` counts what a GPU would launch,
by kernel or function.
"""

import threading
import traceback
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import strict_graph

read_backs = []                                      # what made the host wait: "item in minidl/train/loop.py:12"
launches = Counter()
allocations = {}                                     # {device: how many arrays were made on it}


class Refused(RuntimeError):
    """As CuPy's CUDARuntimeError: what a stream that is being captured does not allow."""


def read_back(what):
    """Note that something is copied to the host, which waits for the device."""
    frames = [f for f in traceback.extract_stack(limit=12) if "/minidl/" in f.filename or "/zoo/" in f.filename]
    place = f" in {frames[-1].filename.rpartition('/minidl/')[2]}:{frames[-1].lineno}" if frames else ""
    if current.streams[-1].recording is not None:
        raise Refused(f"cudaErrorStreamCaptureUnsupported: {what}{place} while a stream is captured")
    read_backs.append(what + place)


class Device:
    """`with Device(1):` makes a device current in this thread."""

    def __init__(self, index=None):
        self.id = current.devices[-1] if index is None else int(index)
        if not 0 <= self.id < runtime.devices:
            raise RuntimeError(f"cudaErrorInvalidDevice: there is no device {self.id}")

    def __enter__(self):
        current.devices.append(self.id)
        return self

    def __exit__(self, *error):
        current.devices.pop()

    def __eq__(self, other):
        return self.id == other.id

    __hash__ = None

    @property
    def compute_capability(self):
        return "{}{}".format(*runtime.capability)

    @property
    def mem_info(self):
        return runtime.memory_free, runtime.memory_total

    def synchronize(self):
        """Nothing is ever left to be done here."""


class Event:
    """A point in a stream. Times pass as `clock` says, so that a test knows them."""

    clock = iter(np.arange(0, 1 << 20, 0.5).tolist())         # milliseconds

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.time, self.done, self.timed, self.work = None, False, not disable_timing, []

    def record(self, stream=None):
        stream = stream or current.streams[-1]
        self.time, self.done, self.work, stream.pending = next(Event.clock), True, self.work + stream.pending, []

    def synchronize(self):
        if self.time is None:
            raise RuntimeError("an event that was never recorded was waited for")
        while self.work:
            self.work.pop(0)()


def get_elapsed_time(start, end):
    """Milliseconds from one event to another."""
    if not (start.timed and end.timed):
        raise RuntimeError("cudaErrorInvalidResourceHandle: an event without timing")
    return end.time - start.time


class Stream:
    """A queue of work, which is done at once, unless it is being captured: see `strict_graph.py`."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.null, self.recording, self.ptr = null, None, 0 if null else id(self)
        self.pending = []                            # copies, which are made as late as is allowed
        self.device_id = -1 if null else current.devices[-1]

    def __enter__(self):
        if self.device_id not in (-1, current.devices[-1]):
            raise RuntimeError(f"the stream's device {self.device_id} is not the current one, {current.devices[-1]}")
        current.streams.append(self)
        return self

    def __exit__(self, *error):
        current.streams.pop()

    def synchronize(self):
        if self.recording is not None:
            raise Refused("cudaErrorStreamCaptureUnsupported: a stream that is captured was synchronized")
        for copy in self.pending:
            copy()
        self.pending.clear()

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        event.synchronize()

    def begin_capture(self, mode=None):
        if self.null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.recording = strict_graph.Recording()

    def end_capture(self):
        graph, self.recording = strict_graph.Graph(self.recording), None
        return graph

    def is_capturing(self):
        return self.recording is not None


def get_current_stream():
    return current.streams[-1]


class PinnedMemory(bytearray):
    """Host memory from which copies need not wait."""


def alloc_pinned_memory(size):
    return PinnedMemory(size)


class MemoryPool:
    """As much of CuPy's pool as is asked about: bytes in use and held."""

    def __init__(self, allocator=None):
        self.used, self.held, self.limit = 0, 0, 0

    def malloc(self, size):
        raise NotImplementedError("arrays of the double have NumPy's memory")

    def used_bytes(self):
        return self.used

    def total_bytes(self):
        return max(self.held, self.used)

    def free_bytes(self):
        return self.total_bytes() - self.used

    def free_all_blocks(self, stream=None):
        self.held = self.used

    def get_limit(self):
        return self.limit


@contextmanager
def using_allocator(allocator=None):
    current.allocator = allocator
    yield
    current.allocator = None


class OutOfMemoryError(MemoryError):
    """CuPy's is a MemoryError too."""

    def __init__(self, size, total, limit=0):
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


def properties(index):
    major, minor = runtime.capability
    return {"name": b"Strict Double", "major": major, "minor": minor, "multiProcessorCount": 1,
            "totalGlobalMem": runtime.memory_total}


def get_default_memory_pool():
    return pool


class Current(threading.local):
    """The device of each thread, its stream, and the allocator of its arrays, as `with` blocks have nested them."""

    def __init__(self):
        self.devices, self.streams, self.allocator = [0], [Stream.null], None


Stream.null = Stream(null=True)
current, pool = Current(), MemoryPool()
memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
runtime = SimpleNamespace(
    devices=1, capability=(9, 0), memory_free=1 << 30, memory_total=1 << 31,
    getDeviceProperties=properties, driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000,
    memGetInfo=lambda: (runtime.memory_free, runtime.memory_total), getDevice=lambda: current.devices[-1],
    getDeviceCount=lambda: runtime.devices,
)
