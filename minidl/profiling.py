"""Where the time goes: `with minidl.profile() as p:` measures every operation, forward and backward, and every step.

`print(p)` shows a table with a line for each function, `p.rows()` gives the same as numbers, `p.save_trace(path)`
writes every single call to a file that chrome://tracing and ui.perfetto.dev open.

What is counted, and how:
- GFLOP/s  of conv2d, conv_transpose2d, linear and matmul alone: two for each multiplication with its addition in the
           formula, padding included; backward, as many for each gradient by an image or a weight that was computed.
           Winograd's way needs fewer products than the formula, so it may show more than the processor can do.
- GB/s     of each array that goes in and each that comes out, once; backward: the gradient that comes, the inputs, and
           the gradients that are made. What only looks at an array (reshape, a slice) moves nothing. An update reads
           gradients, and reads and writes parameters and what is remembered about them.
- allocated  bytes that the function took from the store of memory (kernels/cpu/memory.py), scratch included, and those
           of its other results. What NumPy takes and frees within a function is not seen.
- peak     the most bytes that were in use during a call, of those counted as allocated since the profile began.

A profile sees the thread that opened it; the store is that of the whole process. Within another profile both see the
calls. A call that raises is not counted. On a GPU, each call is waited for, so that it gets the time that is its own:
the whole is slower for it.
"""

import functools
import json
import math
import os
import threading
import weakref
from contextlib import contextmanager
from operator import attrgetter
from time import perf_counter
from types import SimpleNamespace
from typing import NamedTuple

from minidl import kernels
from minidl.device import array_module, is_array
from minidl.tensor import mode

MIB = 2**20


@contextmanager
def profile():
    """Measure what this thread does meanwhile: `with minidl.profile() as p: ...`, then `print(p)`."""
    before = mode.watcher
    mode.watcher = p = Profile(before)
    try:
        yield p
    finally:
        mode.watcher = before
        p.seconds = perf_counter() - p.begin


class Call(NamedTuple):
    """One call of a function, or the sum of several."""

    name: str
    phase: str              # "forward", "backward", or "step" of an optimizer
    calls: int
    begin: float            # seconds since the profile began
    seconds: float
    flops: int
    bytes: int              # read and written
    allocated: int
    peak: int
    live: int               # bytes in use afterwards
    shapes: str             # of the inputs


class Work(NamedTuple):
    """What is known of an operation when its backward is called."""

    products: int           # multiplications and additions of the forward, and of each gradient of its first two inputs
    bytes: int              # of the inputs
    shapes: str


class Profile:
    """What was measured: `calls` is a list of Call, `seconds` the time from beginning to end, all else included."""

    def __init__(self, outer=None):
        self.calls, self.outer, self.seconds = [], outer, None
        self.work = weakref.WeakKeyDictionary()              # by the `backward` that the operation returned
        self.memory = Memory() if outer is None else outer.memory
        self.begin = perf_counter()

    # Measuring

    def watch(self, function, phase, name):
        """The same function, measured: what `watched` in tensor.py asks for."""
        measure = {"forward": self.forward, "backward": self.backward, "step": self.step}[phase]
        return functools.partial(measure, function, name)

    def forward(self, function, name, /, *inputs, **settings):
        """Call an operation, which returns its output and `backward`."""
        arrays = [x for x in inputs if hasattr(x, "dtype")]
        meter = Meter(self.memory, arrays)
        out, backward = function(*inputs, **settings)
        meter.stop()
        work = Work(multiplications(name, arrays, out), nbytes(arrays), ", ".join(str(x.shape) for x in arrays))
        made = [] if any(looks_at(out, x) for x in arrays) else [out]
        moved = work.bytes + out.nbytes if made else 0
        self.record(name, "forward", meter, made, 2 * work.products, moved, work.shapes)
        self.work[backward] = work
        return out, backward

    def backward(self, function, name, node, grads):
        """Call the tape's `propagate`, which turns the gradient of a node in `grads` into those of its parents."""
        if node.backward is None:                            # a leaf: nothing is computed
            function(node, grads)
            return
        gradient, work = grads[node], self.work.get(node.backward, Work(0, 0, ""))
        meter = Meter(self.memory, [gradient])
        function(node, grads)
        meter.stop()
        made = {id(grads[p]): grads[p] for p in node.parents if p in grads and not looks_at(grads[p], gradient)}
        moved = nbytes([gradient, *made.values()]) + work.bytes if made else 0
        wanted = sum(p is not None for p in node.parents[:2])
        self.record(name, "backward", meter, made.values(), 2 * work.products * wanted, moved, work.shapes)

    def step(self, function, name, kernels, batch, grads):
        """Call an optimizer's `update`."""
        meter = Meter(self.memory, grads)
        function(kernels, batch, grads)
        meter.stop()
        kept = [x for arrays in (batch.xs, *batch.slots.values()) for x in arrays]
        self.record(name, "step", meter, [], 0, nbytes(grads) + 2 * nbytes(kept), f"{len(grads)} parameters")

    def record(self, name, phase, meter, results, flops, moved, shapes):
        """Keep what the meter shows, here and in the profiles around this one."""
        allocated, peak, live = meter.memory_of(results)
        profile = self
        while profile is not None:
            profile.calls.append(Call(name, phase, 1, meter.begin - profile.begin, meter.seconds, flops, moved,
                                      allocated, peak, live, shapes))
            profile = profile.outer

    # Telling

    def rows(self):
        """A Call for each function and phase, the sum of all its calls; the one that took longest comes first."""
        parts = {}
        for call in self.calls:
            parts.setdefault((call.name, call.phase), []).append(call)
        return sorted((total(calls, *key) for key, calls in parts.items()), key=attrgetter("seconds"), reverse=True)

    def table(self):
        """The rows as text, with the sum of all, and what time passed outside of them."""
        whole = total(self.calls, "all", "")
        lines = [f"{'function':24} {'':8} {'calls':>6} {'ms':>10} {'share':>6} {'GFLOP/s':>8} {'GB/s':>7} "
                 f"{'allocated':>11} {'peak':>10}"]
        for row in (*self.rows(), whole):
            share = row.seconds / whole.seconds if whole.seconds else 0.0
            lines.append(f"{row.name:24} {row.phase:8} {row.calls:6} {row.seconds * 1000:10.3f} {share:6.1%} "
                         f"{rate(row.flops, row.seconds):>8} {rate(row.bytes, row.seconds):>7} "
                         f"{row.allocated / MIB:7.1f} MiB {row.peak / MIB:6.1f} MiB")
        elapsed = perf_counter() - self.begin if self.seconds is None else self.seconds
        lines.append(f"Outside of these: {(elapsed - whole.seconds) * 1000:.3f} ms of {elapsed * 1000:.3f} ms.")
        return "\n".join(lines)

    __str__ = table

    def save_trace(self, path):
        """Write every call, and the memory in use after it, to a JSON file in the Trace Event Format of Chrome."""
        place = {"pid": os.getpid(), "tid": threading.get_native_id()}
        events = []
        for call in self.calls:
            details = {"inputs": call.shapes, "GFLOP/s": rate(call.flops, call.seconds),
                       "GB/s": rate(call.bytes, call.seconds), "allocated": call.allocated, "peak": call.peak}
            events.append({"name": f"{call.name} {call.phase}", "cat": call.phase, "ph": "X", "ts": call.begin * 1e6,
                           "dur": call.seconds * 1e6, **place, "args": details})
            events.append({"name": "memory", "ph": "C", "ts": (call.begin + call.seconds) * 1e6, **place,
                           "args": {"MiB": call.live / MIB}})
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


class Memory:
    """Which bytes are in use, of those that operations asked for since the profile began."""

    def __init__(self):
        self.store = SimpleNamespace(used_bytes=0, watermark=0, given_bytes=0)
        if kernels.settings.backend != "plain":
            from minidl.kernels.cpu.runtime import memory_pool  # imported late: it brings Numba
            self.store = memory_pool.store
        self.before = self.store.used_bytes
        self.others = {}                                     # results that are not the store's, by id: bytes

    def add(self, array):
        """Count an array's memory, unless that is the store's or is counted already; its bytes, then, else 0."""
        if not is_array(array):                              # NumPy's sums are scalars
            return 0
        owner = array
        while type(owner.base) is type(owner):
            owner = owner.base
        if owner.base is not None or id(owner) in self.others:
            return 0
        self.others[id(owner)] = owner.nbytes
        weakref.finalize(owner, self.others.pop, id(owner)).atexit = False
        return owner.nbytes

    def other_bytes(self):
        """Bytes in use that are not the store's."""
        return sum(list(self.others.values()))               # the list is made at once, whatever other threads free


class Meter:
    """Time and memory of one call, from now until `stop`."""

    def __init__(self, memory, inputs):
        self.memory, self.xp = memory, array_module(*inputs)
        self.others, self.given = memory.other_bytes(), memory.store.given_bytes
        memory.store.watermark = memory.store.used_bytes
        self.wait()
        self.begin = perf_counter()

    def stop(self):
        """The call is over."""
        self.wait()
        self.seconds = perf_counter() - self.begin

    def wait(self):
        """Until a GPU has done all that it was asked for."""
        if self.xp.__name__ == "cupy":
            self.xp.cuda.get_current_stream().synchronize()

    def memory_of(self, results):
        """(bytes allocated by the call, the most in use meanwhile, in use now)"""
        store, before = self.memory.store, self.memory.before
        allocated = store.given_bytes - self.given + sum(map(self.memory.add, results))
        live = store.used_bytes - before + self.memory.other_bytes()
        return allocated, max(live, store.watermark - before + self.others), live


def multiplications(name, arrays, out):
    """Of the formula of an operation on these arrays; 0 for those that are no products of matrices."""
    if name == "conv2d":
        return out.size * math.prod(arrays[1].shape[1:])
    if name == "conv_transpose2d":
        return arrays[0].size * math.prod(arrays[1].shape[1:])
    return out.size * arrays[0].shape[-1] if name in ("linear", "matmul") else 0


def looks_at(out, x):
    """Whether `out` is a view of the memory of x, or x itself."""
    return type(out) is type(x) and array_module(x).may_share_memory(out, x)


def nbytes(arrays):
    """The bytes of all these arrays."""
    return sum(x.nbytes for x in arrays)


def total(calls, name, phase):
    """Several calls as one: sums, and the highest peak."""
    flops, moved, allocated = (sum(map(attrgetter(field), calls)) for field in ("flops", "bytes", "allocated"))
    return Call(name, phase, len(calls), min((call.begin for call in calls), default=0.0),
                sum(call.seconds for call in calls), flops, moved, allocated,
                max((call.peak for call in calls), default=0), calls[-1].live if calls else 0, "")


def rate(amount, seconds):
    """Billions a second as text; nothing if there is nothing to tell."""
    return f"{amount / seconds / 1e9:.1f}" if amount and seconds else ""
