"""What a fork must not leave behind in the child: threads that are gone, and locks that they hold.

Before a fork, the locks are taken: no other thread is then within a kernel, a compilation or the memory pool, whose
state would be copied half changed. Both processes release them. The child runs its kernels in one thread
(`threads.py`).
"""

import os

from numba.core.compiler_lock import global_compiler_lock

from minidl.kernels.cpu.runtime import threads
from minidl.kernels.cpu.runtime.memory_pool import pool

held = []


def take_locks():
    """Wait until this thread alone is at work. The order is that in which a kernel takes them."""
    for lock in (threads.turn, global_compiler_lock, pool.lock):
        lock.acquire()
        held.append(lock)


def release_locks():
    """Release those that were taken."""
    while held:
        held.pop().release()


def in_child():
    """Set up the child."""
    release_locks()
    threads.alone_after_fork()


def prepare():
    """Have Python call these functions at each fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=take_locks, after_in_parent=release_locks, after_in_child=in_child)
