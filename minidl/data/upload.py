"""Batches of the CPU copied to a GPU while it computes.

A batch goes through pinned memory, from which the GPU copies by itself, on a stream of its own: the next batch is on
its way during a step. There are two places for batches on the GPU, used in turn. Events keep the order: a step waits
for the copy of its batch, and a copy waits for the step that still reads from its place.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minidl.data.protocol import Batch
from minidl.device import Device


class Place:
    """Memory for one batch, on both sides, and the events that guard it. `cuda` is CuPy's module."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.arrays: list[tuple[np.ndarray, Any]] = []       # (pinned memory, memory of the GPU)
        self.copied, self.used = xp.cuda.Event(disable_timing=True), xp.cuda.Event(disable_timing=True)
        self.busy = False

    def copy(self, batch: Batch, stream: Any) -> None:
        """Begin to copy a batch into this place."""
        if self.busy:
            self.copied.synchronize()            # two steps ago: pinned memory may be written again
            stream.wait_event(self.used)
        if [(x.shape, x.dtype) for x in batch] != [(pinned.shape, pinned.dtype) for pinned, _ in self.arrays]:
            self.arrays = [(pinned(self.xp, x), self.xp.empty(x.shape, dtype=x.dtype)) for x in batch]
        for x, (pinned_memory, on_device) in zip(batch, self.arrays, strict=True):
            pinned_memory[...] = x
            on_device.set(pinned_memory, stream=stream)
        self.copied.record(stream)
        self.busy = True


def pinned(xp: Any, x: np.ndarray) -> np.ndarray:
    """An array like x in pinned memory."""
    memory = xp.cuda.alloc_pinned_memory(max(1, x.nbytes))
    return np.frombuffer(memory, x.dtype, math.prod(x.shape)).reshape(x.shape)


def uploaded(batches: Iterable[Batch], device: Device) -> Iterator[Batch]:
    """The batches as arrays on the device. Each is there until the next but one is asked for."""
    xp = device.library
    with device.current():
        stream, places = xp.cuda.Stream(non_blocking=True), [Place(xp), Place(xp)]
        waiting: Place | None = None
        for number, batch in enumerate(batches):
            place = places[number % 2]
            place.copy(batch, stream)
            if waiting is not None:
                yield from arrived(waiting)
            waiting = place
        if waiting is not None:
            yield from arrived(waiting)


def arrived(place: Place) -> Iterator[Batch]:
    """The batch of a place, for which the current stream waits; afterwards, the place may be used again."""
    stream = place.xp.cuda.get_current_stream()
    stream.wait_event(place.copied)
    images, labels = (on_device for _, on_device in place.arrays)
    yield images, labels
    place.used.record(stream)
