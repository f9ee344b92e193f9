"""`@kernel`: compile a function of loops for this processor, keep the result on disk, and run it on all threads.

A kernel is written as the part of one thread, and each thread runs it with its own number:

    @kernel
    def double(thread, threads, x, out):
        for i in share(thread, threads, len(x)):
            out[i] = 2 * x[i]

    double(x, out)

It returns nothing: results go into arrays that the caller made. See `inner.py` for the functions
that kernels call, `launcher.py` for how threads start, `cache.py` for what is kept on disk, and `progress.py` for what
the user sees.
"""

import functools
import os
import types

import numba

from minidl.kernels.cpu.runtime import fork, progress, threads
from minidl.kernels.cpu.runtime.cache import KernelCache, warn_once
from minidl.kernels.cpu.runtime.compiling import compiling
from minidl.kernels.cpu.runtime.inner import OPTIONS, inner
from minidl.kernels.cpu.runtime.launcher import launcher, on_all_threads
from minidl.kernels.settings import settings
from minidl.traced import now

if numba.config.DISABLE_JIT:
    raise ImportError("the cpu backend needs Numba's compiler: unset NUMBA_DISABLE_JIT, or use the plain backend")

fork.prepare()


def kernel(part):
    """Compile `part(thread, threads, *arguments)`; the caller gives the arguments alone.

    `kernel.serial(*arguments)` runs it on the calling thread alone: for work that one thread finishes before
    the others wake. The GIL is released while a kernel runs. Raises MemoryError if a thread found no memory for its
    scratch arrays.
    """
    entry = numba.njit(no_cfunc_wrapper=True, **OPTIONS)(named_like(part, run_parts, run=on_all_threads(inner(part))))
    progress.watch(entry)
    try:
        entry._cache = KernelCache(entry.py_func)
    except RuntimeError as error:            # no folder to cache in, or no source file, as in a notebook
        if os.path.exists(part.__code__.co_filename):
            warn_once(error)
    entry._compile_for_args = compiling(entry._compile_for_args, entry._cache)

    @functools.wraps(part)
    def run(*arguments):
        if now.recording is not None:
            return now.recording.kernel(run, part.__module__, arguments)
        if not settings.all_cores:
            return serial(*arguments)
        with threads.turn:
            count = threads.count or threads.thread_count()
            threads.return_to_main_core()
            failed = entry(launcher().address, count, *arguments)
        if failed:
            raise out_of_memory(part)
        return None

    def serial(*arguments):
        if now.recording is not None:
            return now.recording.kernel(serial, part.__module__, arguments)
        if entry(0, 1, *arguments):
            raise out_of_memory(part)
        return None

    run.serial = serial
    return run


def out_of_memory(part):
    """What is raised if a thread found no memory."""
    return MemoryError(f"no memory for the scratch arrays of the kernel {part.__name__}")


def run_parts(launch, threads, *arguments):
    """What Python calls: `run` is the intrinsic that starts the parts."""
    return run(launch, threads, arguments)  # noqa: F821 - given by `named_like`


def named_like(model, function, **names):
    """A copy of `function` with the name and source position of `model`, which identify it, and `names` as globals."""
    code = function.__code__.replace(co_filename=model.__code__.co_filename, co_name=model.__name__,
                                     co_firstlineno=model.__code__.co_firstlineno, co_qualname=model.__qualname__)
    copy = types.FunctionType(code, {"__name__": model.__module__, "__file__": model.__code__.co_filename, **names})
    copy.__module__, copy.__qualname__ = model.__module__, model.__qualname__
    return copy
