"""Operations of MPI that go on while this process computes.

MPI moves messages only inside its own calls. A computation of 50 ms between two of them leaves the network idle once
its buffers are empty. So a thread calls `test` on all that is under way, every two milliseconds; kernels do not hold
Python's lock meanwhile. A lock keeps the two threads from asking about one request at once.
"""

import contextlib
import threading
import time
from collections.abc import Callable

from minidl.distributed.communicator import Request

PAUSE = 0.002                                    # seconds; 1 Gbit/s fills a socket's buffer of 4 MiB in 34 ms


class Progress:
    """The requests that are under way, and the thread that tests them, which starts with the first.

    threads   whether MPI allows two threads; if not, requests make progress in calls of the program only
    """

    def __init__(self, threads: bool) -> None:
        self.threads = threads
        self.lock = threading.Lock()
        self.some = threading.Event()
        self.under_way: list[Request] = []
        self.thread: threading.Thread | None = None

    def start(self, begin: Callable[..., Request], *arguments: object) -> "Watched":
        """Begin an operation, and test it until it has ended."""
        with self.lock:
            request = begin(*arguments)
            if self.threads:
                self.under_way.append(request)
                self.some.set()
        if self.threads and self.thread is None:
            self.thread = threading.Thread(target=self.run, name="minidl-mpi", daemon=True)
            self.thread.start()
        return Watched(request, self)

    def run(self) -> None:
        """Test what is under way, for ever; asleep while nothing is. After an error, which `wait` meets, no more."""
        with contextlib.suppress(Exception):
            while self.some.wait():
                with self.lock:
                    self.test()
                time.sleep(PAUSE)

    def test(self) -> None:
        """Forget the requests that have ended. The caller holds the lock."""
        self.under_way = [request for request in self.under_way if not request.test()]
        if not self.under_way:
            self.some.clear()


class Watched:
    """A request of which two threads may ask."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self.request, self.progress = request, progress

    def test(self) -> bool:
        with self.progress.lock:
            return self.request.test()

    def wait(self) -> None:
        with self.progress.lock:
            self.request.wait()
