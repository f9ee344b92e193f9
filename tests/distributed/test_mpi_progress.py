"""The thread that lets operations of MPI go on, with requests in place of MPI's."""

import threading

import pytest

from minidl.distributed.progress import Progress


class Slow:
    """A request that ends with its third test."""

    def __init__(self):
        self.tests, self.ended, self.waited = 0, threading.Event(), False

    def test(self):
        self.tests += 1
        if self.tests == 3:
            self.ended.set()
        return self.tests >= 3

    def wait(self):
        self.waited = True


class Broken(Slow):
    def test(self):
        self.ended.set()
        raise RuntimeError("rank 1 is gone")

    wait = test


def test_requests_go_on_while_the_program_does_something_else():
    progress = Progress(threads=True)
    for _ in range(2):
        request = Slow()
        watched = progress.start(lambda request: request, request)
        assert request.ended.wait(60)
        with progress.lock:
            assert progress.under_way == []
        assert request.tests == 3
        assert watched.test()
        watched.wait()
        assert request.waited


def test_without_threads_they_go_on_when_they_are_tested():
    progress, request = Progress(threads=False), Slow()
    watched = progress.start(lambda: request)
    assert [watched.test() for _ in range(3)] == [False, False, True]
    assert progress.thread is None


@pytest.mark.parametrize("broken", [Broken, Slow])
def test_an_error_is_that_of_the_program_and_not_of_the_thread(broken, recwarn):
    progress, request = Progress(threads=True), broken()
    watched = progress.start(lambda: request)
    assert request.ended.wait(60)
    if broken is Broken:
        with pytest.raises(RuntimeError, match="rank 1 is gone"):
            watched.wait()
        progress.thread.join(60)
        assert not progress.thread.is_alive()
    else:
        watched.wait()
    assert not recwarn.list
