"""Results prepared ahead by a thread.

One thread is enough for batches: NumPy releases the GIL while it gathers and scales images, which takes a small
fraction of a training step. The queues are C code, which a signal handler may use whatever it interrupts.
"""

import atexit
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from minidl import cores

Job = TypeVar("Job")
Result = TypeVar("Result")


def prefetched(work: Callable[[Job], Result], jobs: Sequence[Job], ahead: int) -> Iterator[Result]:
    """`work(job)` for each job, in order, while a thread works on up to `ahead` later ones.

    A consumer that stops early closes this generator, at the latest when it drops the last reference; `finally` then
    ends the thread, which finishes its current job first. The consumer does not wait for that.
    """
    worker = Worker(work)
    try:
        for job in jobs[:ahead]:
            worker.jobs.put(job)
        for position, job in enumerate(jobs):
            if position + ahead < len(jobs):
                worker.jobs.put(jobs[position + ahead])
            yield worker.result(job)
    finally:
        worker.stop()


class Worker(Generic[Job, Result]):
    """A thread that takes jobs from a queue and puts their results, or the exceptions they raised, into another."""

    def __init__(self, work: Callable[[Job], Result]) -> None:
        self.work = work
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.results: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()
        self.stopped = False
        # a daemon, so that an unfinished epoch does not keep the process alive; `end_all` stops it before Python ends
        self.thread = threading.Thread(target=self.run, name="minidl-data", daemon=True)
        workers.add(self)
        with contextlib.suppress(RuntimeError):  # there can be no more threads: `result` works by itself
            self.thread.start()

    def run(self) -> None:
        """Work until there is a None among the jobs."""
        cores.use_all()
        while (job := self.jobs.get()) is not None and not self.stopped:
            try:
                self.results.put((self.work(job), None))
            except BaseException as error:
                self.results.put((None, error))

    def result(self, job: Job) -> Result:
        """The result of `job`, which is the oldest one not asked for yet."""
        while self.thread.is_alive():
            with contextlib.suppress(Empty):
                result, error = self.results.get(timeout=1)
                try:
                    if error is not None:
                        raise error
                    return result  # type: ignore[return-value]
                finally:
                    del error                    # whose traceback refers to this frame
        return self.work(job)                    # in a forked child, which does not have the thread

    def stop(self) -> None:
        """Let the thread end."""
        self.stopped = True
        self.jobs.put(None)


workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def end_all() -> None:
    """Wait for the threads that are left when the process ends: Python must not end while they use arrays."""
    for worker in list(workers):
        worker.stop()
        if worker.thread.is_alive():
            worker.thread.join()
