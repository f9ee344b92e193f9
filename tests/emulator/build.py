"""CUDA C as a library for the CPU: the source, emulate.h before it, and a C function for each kernel after it."""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
HEADERS = "emulate.h", "instructions.h"
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-g0", "-w", "-fno-strict-aliasing",
         "-ffp-contract=off",
         "-fsanitize=bounds,alignment,signed-integer-overflow,shift,integer-divide-by-zero,float-cast-overflow",
         "-fsanitize-undefined-trap-on-error"]
DAYS_KEPT = 30


class SourceError(RuntimeError):
    """A source that g++ refuses."""


def missing():
    """Why kernels cannot be emulated here, or None."""
    if sys.platform != "linux":
        return "CUDA kernels are emulated on Linux only"
    return None if shutil.which("g++") else "CUDA kernels are emulated by g++, which is not installed"


def folder():
    """Where compiled sources lie: MINIDL_EMULATED, or in the user's cache."""
    if "MINIDL_EMULATED" in os.environ:
        return Path(os.environ["MINIDL_EMULATED"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minidl" / "emulated"


def compiled(code, options, kernels):
    """The path of the library of a source, built once for each content, by one process at a time."""
    code += "".join(entry(name, parameters) for name, parameters in kernels.items())
    stamp = hashlib.sha256("\0".join([code, *options, *FLAGS, *((HERE / h).read_text() for h in HEADERS)]).encode())
    library = folder() / f"{stamp.hexdigest()[:32]}.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.utime(library)
        return library
    with open(library.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            build(code, options, library)
    return library


def build(code, options, library):
    made = library.with_suffix(f".{os.getpid()}")
    done = subprocess.run(["g++", "-x", "c++", "-shared", *FLAGS, *options, "-include", str(headers()), "-", "-o",
                           str(made)], input=code, text=True, capture_output=True)
    if done.returncode:
        raise SourceError(f"g++ refuses the source:\n{done.stderr[:4000]}")
    os.replace(made, library)
    for old in library.parent.iterdir():                             # what no source needs any more
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > DAYS_KEPT * 86400:
                old.unlink()


@functools.cache
def headers():
    """The path of emulate.h beside its precompiled form, with which a source takes half of the time."""
    texts = {name: (HERE / name).read_text() for name in HEADERS}
    place = folder() / hashlib.sha256("\0".join([*texts.values(), *FLAGS]).encode()).hexdigest()[:16]
    if not place.exists():
        made = Path(tempfile.mkdtemp(dir=folder()))
        for name, text in texts.items():
            (made / name).write_text(text)
        header = str(made / "emulate.h")
        subprocess.run(["g++", "-x", "c++-header", *FLAGS, header, "-o", f"{header}.gch"], capture_output=True)
        with contextlib.suppress(OSError):                           # another process was first
            os.rename(made, place)
    return place / "emulate.h"


def entry(name, parameters):
    """C++ that launches one kernel with an array of pointers to its arguments, as cuLaunchKernel does."""
    values = ", ".join(f"*({p.declaration}*)a[{i}]" for i, p in enumerate(parameters))
    sizes = ", ".join(f"sizeof({p.declaration})" for p in parameters) or "0"
    return (f'\nextern "C" const unsigned long sizes_of_{name}[] = {{{sizes}}};'
            f'\nextern "C" const char* launch_{name}(const unsigned* shape, size_t shared, unsigned seed, void** args) '
            f"{{ return emulate::run([](void** a) {{ {name}({values}); }}, shape, shared, seed, args); }}\n")
