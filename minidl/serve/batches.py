"""Images of many requests, gathered into batches for the threads that compute.

All state belongs to the event loop's thread, so nothing is locked. Images are decoded in two further threads, by
Pillow, which lets others run meanwhile.

A request that is alone is computed by all cores together. They wait for each other in every kernel, and a core that
other work delays delays all of them: when there are more requests, each core computes a batch of its own. A light
network takes less time than the rest of its requests, and has one core: further ones would make batches smaller.
Kernels for all cores are started by one thread only: OpenMP gives every thread that does a pool of its own, and pools
that take turns cost milliseconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minidl import cores
from minidl.kernels import using
from minidl.serve.metrics import Metrics
from minidl.serve.models import Served
from minidl.serve.problem import Problem, busy
from minidl.serve.settings import Settings

DECODERS = 2
LIGHT = 100_000_000                              # multiply-adds for an image: about a millisecond of one core
Result = TypeVar("Result")


class Waiting(NamedTuple):
    """An image in the queue."""

    served: Served
    image: np.ndarray
    since: float
    logits: asyncio.Future[np.ndarray]


class Batches:
    """A bounded queue of images, and the threads that work on it.

    A batch is computed when max_batch images wait, when the first of them has waited for max_wait_ms, or at once if no
    other image is being decoded: a single client never waits for others.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.places = settings.queue             # that are free
        self.decoding = 0                        # images that are on their way into the queue
        self.queue: deque[Waiting] = deque()
        self.changed = asyncio.Event()
        self.computing: set[asyncio.Task[None]] = set()          # batches
        self.kernels = ThreadPoolExecutor(1, "minidl-kernels")
        self.cores = ThreadPoolExecutor(cores.count(), "minidl-core")
        self.decoders = ThreadPoolExecutor(DECODERS, "minidl-decode")

    def close(self) -> None:
        """Let the threads end when they have finished what they do."""
        for executor in (self.kernels, self.cores, self.decoders):
            executor.shutdown(wait=False)

    @contextmanager
    def reserved(self, images: int) -> Iterator[None]:
        """A block in which a request's images have places in the queue. Raises Problem if there are not enough."""
        if images > self.settings.queue:
            raise Problem(413, f"{images} images are too many for one request (at most {self.settings.queue})")
        if images > self.places:
            raise busy(f"the queue is full: {self.settings.queue - self.places} images are in work")
        self.places -= images
        self.metrics.queued.set(self.settings.queue - self.places)
        try:
            yield
        finally:
            self.places += images
            self.metrics.queued.set(self.settings.queue - self.places)

    async def decoded(self, decode: Callable[[], Result]) -> Result:
        """What decode() gives, which runs in a thread for that."""
        self.decoding += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.decoders, decode)
        finally:
            self.decoding -= 1
            self.changed.set()

    async def compute(self, job: Callable[..., Result], *arguments: Any) -> Result:
        """What job(*arguments) gives, which all cores compute together, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self.kernels, job, *arguments)

    async def logits(self, served: Served, images: Sequence[np.ndarray]) -> np.ndarray:
        """The network's output for preprocessed images (C, H, W).   ->  (N, classes)"""
        loop = asyncio.get_running_loop()
        waiting = [Waiting(served, image, loop.time(), loop.create_future()) for image in images]
        self.queue.extend(waiting)
        self.changed.set()
        return np.stack(await asyncio.gather(*(item.logits for item in waiting)))

    async def run(self) -> None:
        """Compute batches, until cancelled; of more than one, each core has its own."""
        while True:
            while not self.queue:
                await self.change(None)
            heavy = self.queue[0].served.multiply_adds > LIGHT
            if len(self.computing) >= (cores.count() if heavy else 1):
                await asyncio.wait(self.computing, return_when=asyncio.FIRST_COMPLETED)
                continue
            await self.others()
            if batch := self.next_batch():
                alone = not (self.computing or self.queue or self.decoding)
                task = asyncio.create_task(self.finish(batch, alone))
                self.computing.add(task)
                task.add_done_callback(self.computing.discard)

    async def change(self, seconds: float | None) -> None:
        """Wait until something comes into the queue, but not longer than that."""
        self.changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), seconds)

    async def others(self) -> None:
        """Wait for further images, if it is worth it."""
        until = self.queue[0].since + self.settings.max_wait_ms / 1000
        while self.decoding and len(self.queue) < self.settings.max_batch:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await self.change(left)

    def next_batch(self) -> list[Waiting]:
        """The first images of one network, taken out of the queue; those that nobody waits for any more are dropped."""
        items = [item for item in self.queue if not item.logits.done()]
        batch = [item for item in items if item.served is items[0].served][:self.settings.max_batch]
        taken = set(map(id, batch))
        self.queue = deque(item for item in items if id(item) not in taken)
        return batch

    async def finish(self, batch: list[Waiting], alone: bool) -> None:
        """Compute a batch, on all cores if it is alone, and hand out the results."""
        served, executor = batch[0].served, self.kernels if alone else self.cores

        def job() -> np.ndarray:
            with using(all_cores=alone):
                return served.logits(np.stack([item.image for item in batch]))
        try:
            logits = await asyncio.get_running_loop().run_in_executor(executor, job)
            if len(logits) != len(batch):
                raise ValueError(f"{served.name} gives {len(logits)} outputs for {len(batch)} images")
        except Exception as error:               # a bug, or no memory: the requests of this batch are told
            for item in batch:
                if not item.logits.done():
                    item.logits.set_exception(error)
            return
        self.metrics.batch.labels(served.name).observe(len(batch))
        self.metrics.images.labels(served.name).inc(len(batch))
        for item, row in zip(batch, logits, strict=True):
            if not item.logits.done():           # its request was cancelled, or out of time
                item.logits.set_result(row)
