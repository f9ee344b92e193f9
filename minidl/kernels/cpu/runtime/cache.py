"""Compiled kernels on disk: one file for each kernel and signature, checked before it is used.

Numba's own cache trusts its files, and fails where it has no folder to write to. Here a missing, damaged or
outdated file is compiled again. If files cannot be written, every process compiles its own kernels, and one line on
stderr says so.

Processes that need the same kernel at the same time don't all compile it: the first one locks its file, and the others
wait for the result. A lock ends with the process that holds it.

A kernel is out of date when the source of its module changes, or that of any module it imports, directly or not. The
file's name carries a hash of these sources, and another of the signature, the processor, the vector width, and the
versions of Python, Numba and LLVM.
"""

import contextlib
import functools
import glob
import hashlib
import os
import pickle
import platform
import re
import sys
import uuid
from pathlib import Path

import llvmlite
import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

from minidl.kernels.cpu.runtime.target import MR, VECTOR_BYTES

fcntl = None
with contextlib.suppress(ImportError):
    import fcntl

# "from module import names", the names on several lines if they stand in parentheses, or "import module". Parsing the
# sources would take ten times as long.
IMPORT = re.compile(r"^\s*(?:from (minidl[\w.]*) import (\([^)]*\)|[^\n#]*)|import (minidl[\w.]*))", re.MULTILINE)
ROOT = Path(__file__).parents[4]                     # the folder in which the package minidl lies
TARGET = (VECTOR_BYTES, MR, platform.python_version(), numba.__version__, llvmlite.__version__)


class BeingCompiled(Exception):
    """Another process is compiling this kernel."""


class KernelCache(FunctionCache):
    """The files of one kernel. Numba's dispatcher calls `load_overload` and `save_overload`.

    Raises RuntimeError if there is no folder that can be written to.
    """

    warned = False
    waits = True                                     # for a kernel that another process is compiling

    def __init__(self, function):
        super().__init__(function)
        path = Path(function.__code__.co_filename)
        self.name = f"{path.stem}.{function.__qualname__}"
        self.stamp = source_stamp(path)
        self.lock = None                             # while this process compiles

    def path(self, signature, codegen):
        """The file of one signature."""
        key = hashlib.sha256(repr((self._index_key(signature, codegen), TARGET)).encode()).hexdigest()
        return Path(self._cache_path, f"{self.name}.{self.stamp[:12]}.{key[:16]}.kernel")

    def load_overload(self, sig, target_context):
        """The compiled kernel of a signature, or None: then the caller compiles it, and others wait.

        Raises BeingCompiled if another process is compiling it, and `waits` is False.
        """
        target_context.refresh()
        path = self.path(sig, target_context.codegen())
        found = self.read(path, target_context)
        if found is None:
            self.lock, waited = lock(path.with_suffix(".lock"), self.waits)
            found = self.read(path, target_context) if waited else None
            if found is not None:
                self.release()
        return found

    def read(self, path, target_context):
        """The compiled kernel in a file, or None."""
        try:
            content = path.read_bytes()
            digest, payload = content[:32], content[32:]
            if hashlib.sha256(payload).digest() == digest:
                return self._impl.rebuild(target_context, pickle.loads(payload))
        except Exception:                            # whatever is wrong with the file, compiling replaces it
            return None
        return None

    def save_overload(self, sig, data):
        """Keep a compiled kernel, and remove those compiled from other sources."""
        try:
            if self._impl.check_cachable(data):
                self._impl.locator.ensure_cache_path()
                path, payload = self.path(sig, data.codegen), dumps(self._impl.reduce(data))
                write(path, hashlib.sha256(payload).digest() + payload)
                self.remove_outdated(path)
        except OSError as error:
            warn_once(error)
        finally:
            self.release()

    def release(self):
        """Let other processes compile the kernel, whether it is now kept on disk or compiling has failed."""
        unlock(self.lock)
        self.lock = None

    def remove_outdated(self, path):
        """Remove this kernel's files of other sources."""
        for name in glob.glob(f"{glob.escape(self.name)}.*.kernel", root_dir=path.parent):
            if name.split(".")[-3] != self.stamp[:12]:
                path.with_name(name).unlink(missing_ok=True)


def write(path, content):
    """Write a file such that others see all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def lock(path, waits):
    """(the open, locked file, or None where files cannot be locked; whether another process had to be waited for)"""
    file = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not waits:
            raise BeingCompiled(path) from None
        fcntl.flock(file, fcntl.LOCK_EX)
        return file, True
    except (OSError, AttributeError):                # a read-only or remote folder; or Windows, which has no fcntl
        return None, False
    return file, False


def unlock(file):
    """Release a lock, also where a process that was forked meanwhile holds a copy of the open file."""
    if file is not None:
        Path(file.name).unlink(missing_ok=True)
        fcntl.flock(file, fcntl.LOCK_UN)
        file.close()


def warn_once(reason):
    """Say on stderr, once in a process, that kernels are not kept."""
    if not KernelCache.warned:
        KernelCache.warned = True
        print(f"minidl: compiled kernels cannot be cached ({reason}); every process compiles its own. "
              "Set NUMBA_CACHE_DIR to a writable folder to keep them.", file=sys.stderr, flush=True)


@functools.cache
def source_stamp(path):
    """A hash of a module's source and of all minidl modules that it imports, directly or not."""
    found, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imported(path)
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(source(path))
    return digest.hexdigest()


@functools.cache
def source(path):
    """The content of a source file, which many kernels depend on."""
    return path.read_bytes()


@functools.cache
def imported(path):
    """The files of the minidl modules that a file imports."""
    found = []
    for module, names, whole in IMPORT.findall(source(path).decode()):
        files = [file_of(f"{module}.{name}") or file_of(module) for name in re.findall(r"\w+", names)]
        found += [file for file in (*files, file_of(whole)) if file]
    return found


def file_of(module):
    """The file of a minidl module, given its dotted name; else None."""
    if not module.startswith("minidl."):
        return None
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
