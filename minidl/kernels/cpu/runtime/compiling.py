"""Compiles in a thread of its own, which no signal handler interrupts.

Numba's compiler is not made for that: a handler that calls a kernel would compile it in the middle of another, and a
handler that raises an exception (Ctrl-C) would leave the compiler and the locks of the cache in between. So the main
thread only waits. A handler may raise meanwhile: the kernel is then compiled, and cached, all the same.
"""

import functools

from minidl.kernels.own_thread import in_own_thread


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
