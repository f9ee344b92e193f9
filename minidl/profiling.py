"""Where the time goes: `with minidl.profile() as p:` measures every operation, forward and backward, and every step.

`print(p)` shows a table with a line for each function, `p.rows()` returns its values, and `p.save_trace(path)` writes
every single call to a file that chrome://tracing and ui.perfetto.dev open.

What is counted, and how:
- GFLOP/s    of conv2d, conv_transpose2d, linear and matmul alone: two operations for each multiply-add in the formula,
             padding included; in backward, as many again for each gradient with respect to an input or a weight.
             Winograd's algorithm needs fewer products than the formula, so its figure may exceed the processor's peak.
- GB/s       of each array read and each array written, once. In backward: the incoming gradient, the inputs, and the
             gradients computed. A view (reshape, a slice) moves nothing. An optimizer's update reads the gradients, and
             reads and writes the parameters and its state.
- allocated  bytes taken from the memory pool (kernels/cpu/runtime/memory_pool.py), scratch included, and the bytes of
             other results; a block may be larger than its array. What NumPy allocates and frees within a function is
             not seen.
- peak       the maximum of allocated bytes that were live during a call; memory from before the profile is not counted.
- messages   of training in several processes: for how many milliseconds of its calls sums of gradients were under way,
             so that computing hid them. The last line says for how long the process waited for them. The sums of
             synchronised norms are part of the calls of these.

A profile measures the thread that opened it, but the memory pool belongs to the whole process. Profiles nest: an outer
one sees the calls, too. A call that raises is not counted.

On a GPU, a call lasts from when the GPU comes to its first kernel until it has finished the last, by two events in the
stream: nothing waits until the profile ends. Where the GPU waits for the host between two kernels of a call, the time
of the call is that of the host. Captured steps (`graphs.py`) run eagerly in a profile.
"""

from __future__ import annotations

import functools
import json
import math
import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any, NamedTuple

from minidl import kernels
from minidl.device import Device, array_module, device_of, is_array
from minidl.memory import held, size
from minidl.modes import mode

MIB = 2**20


@contextmanager
def profile() -> Iterator[Profile]:
    """Measure what this thread does in the block: `with minidl.profile() as p: ...`, then `print(p)`."""
    before = mode.watcher
    mode.watcher = p = Profile(before)
    try:
        yield p
    finally:
        mode.watcher = before
        p.settle()
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
    live: int               # bytes still allocated after the call
    shapes: str             # of the inputs


class Work(NamedTuple):
    """What measuring the backward of an operation needs to know about it."""

    products: int           # multiply-adds of the forward, and of the gradient of each of its first two inputs
    bytes: int              # of the inputs
    shapes: str


class Profile:
    """The measurements: `calls` is a list of Call, and `seconds` is the whole time from beginning to end."""

    def __init__(self, outer: Profile | None = None):
        self.calls: list[Call] = []
        self.outer = outer
        self.seconds: float | None = None
        self.work: Any = weakref.WeakKeyDictionary()         # {the `backward` that the operation returned: Work}
        self.memory: Memory = Memory() if outer is None else outer.memory
        self.begin = perf_counter()
        self.timers: list[tuple[int, Timer]] = []            # of calls whose time is still to be read from a GPU
        self.devices: set[Device] = set()
        self.messages: list[Message] = []                    # that have arrived

    # Measuring

    def watch(self, function: Callable[..., Any], phase: str, name: str) -> Callable[..., Any]:
        """The same function, measured; called by `watched` in tensor.py."""
        measure = {"forward": self.forward, "backward": self.backward, "step": self.step, "send": self.send}[phase]
        return functools.partial(measure, function, name)

    def forward(self, function, name, /, *inputs, **settings):
        """Call an operation, which returns its output and `backward`."""
        arrays = [x for x in inputs if hasattr(x, "dtype")]
        meter = Meter(self.memory, arrays)
        out, backward = function(*inputs, **settings)
        meter.stop()
        work = Work(multiplications(name, arrays, out), nbytes(arrays), ", ".join(str(x.shape) for x in arrays))
        made = [] if any(is_view(out, x) for x in arrays) else [out]
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
        made = {id(grads[p]): grads[p] for p in node.parents if p in grads and not is_view(grads[p], gradient)}
        moved = nbytes([gradient, *made.values()]) + work.bytes if made else 0
        gradients = sum(p is not None for p in node.parents[:2])
        self.record(name, "backward", meter, made.values(), 2 * work.products * gradients, moved, work.shapes)

    def step(self, function, name, kernels, batch, grads):
        """Call an optimizer's `update`."""
        meter = Meter(self.memory, grads)
        function(kernels, batch, grads)
        meter.stop()
        kept = [x for arrays in (batch.xs, *batch.slots.values()) for x in arrays]
        self.record(name, "step", meter, [], 0, nbytes(grads) + 2 * nbytes(kept), f"{len(grads)} parameters")

    def send(self, function, name, array):
        """Begin a message, such as a sum over several processes; `function` returns its request."""
        return Message(self, name, array.nbytes, function(array))

    def record(self, name, phase, meter, results, flops, moved, shapes):
        """Add a Call with the readings of the meter, to this profile and to those around it."""
        allocated, peak, live = meter.memory_of(results)
        profile = self
        while profile is not None:
            if meter.timer is not None:
                profile.timers.append((len(profile.calls), meter.timer))
                profile.devices.add(meter.device)
            profile.calls.append(Call(name, phase, 1, meter.begin - profile.begin, meter.seconds, flops, moved,
                                      allocated, peak, live, shapes))
            profile = profile.outer

    def settle(self) -> None:
        """Wait for the GPU, and put the times of its calls in place."""
        for place, timer in self.timers:
            self.calls[place] = self.calls[place]._replace(seconds=timer.seconds())
        self.timers.clear()

    # Reporting

    def rows(self) -> list[Call]:
        """A Call for each function and phase, the sum of all its calls, sorted by time, longest first."""
        self.settle()
        parts: dict[tuple[str, str], list[Call]] = {}
        for call in self.calls:
            parts.setdefault((call.name, call.phase), []).append(call)
        return sorted((total(calls, *key) for key, calls in parts.items()), key=attrgetter("seconds"), reverse=True)

    def hidden(self) -> dict[tuple[str, str], float]:
        """{(function, phase): the seconds of its calls while messages were under way}, and of ("all", "") together."""
        self.settle()
        times = joined([(m.begin - self.begin, m.begin - self.begin + m.seconds) for m in self.messages])
        found: dict[tuple[str, str], float] = defaultdict(float)
        for call in self.calls:
            end = call.begin + call.seconds
            common = sum(max(0.0, min(end, stop) - max(call.begin, start)) for start, stop in times)
            found[call.name, call.phase] += common
            found["all", ""] += common
        return found

    def table(self) -> str:
        """The rows as text, with their total, and the time that passed outside of them."""
        whole = total(self.calls, "all", "")
        lines = [f"{'function':24} {'':8} {'calls':>6} {'ms':>10} {'share':>6} {'GFLOP/s':>8} {'GB/s':>7} "
                 f"{'allocated':>11} {'peak':>10}" + (f" {'messages':>11}" if self.messages else "")]
        hidden = self.hidden()
        for row in (*self.rows(), whole):
            share = row.seconds / whole.seconds if whole.seconds else 0.0
            lines.append(f"{row.name:24} {row.phase:8} {row.calls:6} {row.seconds * 1000:10.3f} {share:6.1%} "
                         f"{rate(row.flops, row.seconds):>8} {rate(row.bytes, row.seconds):>7} "
                         f"{row.allocated / MIB:7.1f} MiB {row.peak / MIB:6.1f} MiB")
            if self.messages:
                lines[-1] += f" {hidden[row.name, row.phase] * 1000:8.3f} ms"
        if self.messages:
            lines.append(f"{len(self.messages)} messages of {sum(m.bytes for m in self.messages) / MIB:.1f} MiB: "
                         f"{sum(m.seconds for m in self.messages) * 1000:.3f} ms under way, of which "
                         f"{sum(m.waited for m in self.messages) * 1000:.3f} ms were waited for")
        elapsed = perf_counter() - self.begin if self.seconds is None else self.seconds
        if not self.devices:
            lines.append(f"Outside these calls: {(elapsed - whole.seconds) * 1000:.3f} ms of {elapsed * 1000:.3f} ms.")
        for device in sorted(self.devices, key=str):
            now = held(device)
            lines.append(f"{device}: {size(now.used)} in arrays, {size(now.kept)} kept for arrays, of "
                         f"{size(now.total)}; busy for {whole.seconds / elapsed:.0%} of {elapsed * 1000:.3f} ms")
        return "\n".join(lines)

    __str__ = table

    def save_trace(self, path: str | Path) -> None:
        """Write every call, and the memory allocated after it, to a JSON file in Chrome's Trace Event Format."""
        self.settle()
        origin = {"pid": os.getpid(), "tid": threading.get_native_id()}
        events = []
        for call in self.calls:
            details = {"inputs": call.shapes, "GFLOP/s": rate(call.flops, call.seconds),
                       "GB/s": rate(call.bytes, call.seconds), "allocated": call.allocated, "peak": call.peak}
            events.append({"name": f"{call.name} {call.phase}", "cat": call.phase, "ph": "X", "ts": call.begin * 1e6,
                           "dur": call.seconds * 1e6, **origin, "args": details})
            events.append({"name": "memory", "ph": "C", "ts": (call.begin + call.seconds) * 1e6, **origin,
                           "args": {"MiB": call.live / MIB}})
        for number, message in enumerate(self.messages):
            for phase, when in ("b", message.begin), ("e", message.begin + message.seconds):
                events.append({"name": message.name, "cat": "message", "ph": phase, "id": number,
                               "ts": (when - self.begin) * 1e6, **origin, "args": {"bytes": message.bytes}})
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


class Message:
    """The request of a message, which is noted in a profile, and in those around it, when it is found to have arrived.

    seconds   from its begin to its arrival, as far as it was looked for
    waited    how many of them the process did nothing else
    """

    def __init__(self, profile, name, size, request):
        self.profile, self.name, self.bytes, self.request = profile, name, size, request
        self.begin, self.seconds, self.waited = perf_counter(), math.nan, 0.0

    def test(self):
        """Whether it has arrived."""
        arrived = self.request.test()
        if arrived:
            self.note()
        return arrived

    def wait(self):
        """Return when it has arrived."""
        begin = perf_counter()
        self.request.wait()
        self.waited = perf_counter() - begin
        self.note()

    def note(self):
        """Note the arrival, once."""
        profile = self.profile if math.isnan(self.seconds) else None
        self.seconds = self.seconds if profile is None else perf_counter() - self.begin
        while profile is not None:
            profile.messages.append(self)
            profile = profile.outer


def memory_pool():
    """The pool from which kernels take memory; an empty one if only array code is used."""
    if kernels.settings.backend == "plain":
        return SimpleNamespace(live_bytes=0, high_water_bytes=0, total_bytes=0)
    kernels.cpu_kernels()
    from minidl.kernels.cpu.runtime.memory_pool import pool  # imported late: it loads Numba
    return pool


class Memory:
    """The bytes that operations have allocated since the profile began, and that are still live."""

    def __init__(self):
        self.pool = memory_pool()
        self.before = self.pool.live_bytes
        self.others = {}                                     # {id: bytes} of results from outside the pool

    def add(self, array):
        """Count the memory of an array and return its bytes; 0 if it is the pool's, or is counted already."""
        if not is_array(array):                              # a NumPy sum is a scalar
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
        """Live bytes outside the pool."""
        return sum(list(self.others.values()))               # list() copies in one go: other threads may free some


class Timer:
    """The time between two points in a stream of a GPU; both are passed when the GPU comes to them."""

    def __init__(self, cuda):
        self.cuda, self.start, self.end = cuda, cuda.Event(), cuda.Event()
        self.start.record()

    def seconds(self):
        """The time, which is waited for."""
        self.end.synchronize()
        return self.cuda.get_elapsed_time(self.start, self.end) / 1000


class Meter:
    """Time and memory of one call, from now until `stop`."""

    def __init__(self, memory, inputs):
        self.memory, xp = memory, array_module(*inputs)
        self.timer = self.device = None
        if hasattr(xp, "cuda"):
            self.timer, self.device = Timer(xp.cuda), next(device_of(x) for x in inputs if is_array(x))
        self.others, self.given = memory.other_bytes(), memory.pool.total_bytes
        memory.pool.high_water_bytes = memory.pool.live_bytes
        self.begin = perf_counter()

    def stop(self):
        """End the measurement."""
        if self.timer is not None:
            self.timer.end.record()
        self.seconds = perf_counter() - self.begin

    def memory_of(self, results):
        """(bytes allocated by the call, the maximum of live bytes during it, live bytes now)"""
        pool, before = self.memory.pool, self.memory.before
        allocated = pool.total_bytes - self.given + sum(map(self.memory.add, results))
        live = pool.live_bytes - before + self.memory.other_bytes()
        return allocated, max(live, pool.high_water_bytes - before + self.others), live


def multiplications(name, arrays, out):
    """The multiply-adds in the formula of an operation on these arrays; 0 for all but convolutions and products."""
    if name == "conv2d":
        return out.size * math.prod(arrays[1].shape[1:])
    if name == "conv_transpose2d":
        return arrays[0].size * math.prod(arrays[1].shape[1:])
    return out.size * arrays[0].shape[-1] if name in ("linear", "matmul") else 0


def is_view(out, x):
    """Whether `out` shares the memory of x."""
    return type(out) is type(x) and array_module(x).may_share_memory(out, x)


def nbytes(arrays):
    """The total bytes of arrays."""
    return sum(x.nbytes for x in arrays)


def total(calls, name, phase):
    """Several calls as one: their sums, and the highest peak."""
    flops, moved, allocated = (sum(map(attrgetter(field), calls)) for field in ("flops", "bytes", "allocated"))
    return Call(name, phase, len(calls), min((call.begin for call in calls), default=0.0),
                sum(call.seconds for call in calls), flops, moved, allocated,
                max((call.peak for call in calls), default=0), calls[-1].live if calls else 0, "")


def joined(times):
    """Intervals [(start, stop)] of time, with those that touch each other as one."""
    found = []
    for start, stop in sorted(times):
        if found and start <= found[-1][1]:
            start, stop = found[-1][0], max(stop, found.pop()[1])
        found.append((start, stop))
    return found


def rate(amount, seconds):
    """Billions per second as text; empty if nothing was counted."""
    return f"{amount / seconds / 1e9:.1f}" if amount and seconds else ""
