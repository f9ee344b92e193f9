"""Compiles in a thread of its own, which no signal handler interrupts.

Python runs signal handlers in the main thread, between any two steps of what it is doing. Numba's compiler is not made
for that: a handler that calls a kernel would compile it in the middle of another, and a handler that raises an
exception (Ctrl-C) would leave the compiler and the locks of the cache in between. So the main thread only waits. A
handler may raise meanwhile: the kernel is then compiled, and cached, all the same.
"""

import functools
import threading


def compiling(compile, cache):
    """`compile`, in a thread of its own; the cache's lock, which other processes wait for, never outlives the call."""

    def release_lock_after(*arguments, **settings):
        try:
            return compile(*arguments, **settings)
        finally:
            if hasattr(cache, "release"):        # there may be no folder to cache in
                cache.release()

    @functools.wraps(compile)
    def run(*arguments, **settings):
        return in_own_thread(lambda: release_lock_after(*arguments, **settings))

    return run


def in_own_thread(job):
    """What `job()` returns or raises."""
    if threading.current_thread() is not threading.main_thread():
        return job()
    outcome = []

    def work():
        try:
            outcome.append((job(), None))
        except BaseException as error:
            outcome.append((None, error))

    while not outcome:                           # again in a child that a handler has forked: the thread is not in it
        thread = threading.Thread(target=work, name="minidl-compile")
        try:
            thread.start()
        except RuntimeError:                     # there can be no more threads, or Python is about to end
            return job()
        while thread.is_alive():
            thread.join(1)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
