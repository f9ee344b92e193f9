"""Compiles the CUDA C sources by NVRTC, through ctypes: no driver and no GPU is needed, only its wheel.

`variants` lists the defines with which the launchers compile a source. benchmarks/gpu/registers.py prints what
`compiled` finds out.
"""

import ctypes
import functools
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from minidl.kernels.gpu.elements import DEFINES
from minidl.kernels.gpu.gemm.tiles import TENSOR_CAPABILITY, TENSOR_TILES, TILES
from minidl.kernels.gpu.runtime.source import ROOT, source

ARCHITECTURES = "sm_75", "sm_80", "sm_90", "sm_100", "sm_120"
MISSING = "NVRTC is not installed; install the extra `test`, or the package nvidia-cuda-nvrtc"


class Usage(NamedTuple):
    """What a kernel takes on a multiprocessor: registers of a thread, bytes of them spilled, bytes of shared memory."""

    registers: int
    spilled: int
    shared: int


@functools.cache
def library():
    """NVRTC, of the wheel or else of the system; None without it."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(root) for root in spec.submodule_search_locations] if spec else []
    names = sorted({str(p) for folder in folders for p in folder.glob("*/lib/libnvrtc.so.*")
                    if "alt" not in p.name}, reverse=True)
    for name in [*names, "libnvrtc.so.13", "libnvrtc.so.12"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def sources():
    """The names of all .cu files."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.cu"))


def variants(file, architecture, every=True):
    """The sets of defines with which a source is compiled for an architecture; of products, all or one of each kind."""
    text = source(file)
    if "BYTES" in text:
        return [(f"BYTES={width}",) for width in (4, 1, 2, 8, 16)]
    if "gemm/product.cuh" not in text:
        return list(DEFINES.values()) if "REAL" in text else [()]
    orders = [(f"A_TRANSPOSED={a}", f"B_TRANSPOSED={b}") for a in (0, 1) for b in (0, 1)] if "A_T" in text else [()]
    plain, tensor = [], []
    for order in orders[:None if every else 1]:
        plain += [(f"BM={m}", f"BN={n}", "WIDE=1", *order) for m, n in list(TILES)[:None if every else 1]]
        plain += [(*DEFINES[name], *order) for name in ("float64", "float16")]
        tensor += [(f"BM={m}", f"BN={n}", "WIDE=1", "TENSOR=1", f"REAL={real}", *order)
                   for m, n in list(TENSOR_TILES)[:None if every else 1]
                   for real in ("float", "half", "bfloat16")]
    return plain + (tensor if int(architecture.removeprefix("sm_")) >= TENSOR_CAPABILITY else [])


def compiled(file, architecture, defines=()):
    """{kernel: Usage} of a source; RuntimeError with the compiler's message if it does not compile."""
    nvrtc, program = library(), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source(file).encode(), file.encode(), 0, None, None)
    options = [f"--gpu-architecture={architecture}", "-std=c++17", "-ftz=true", "--ptxas-options=-v",
               *(f"-D{define}" for define in defines)]
    encoded = (ctypes.c_char_p * len(options))(*map(str.encode, options))
    status = nvrtc.nvrtcCompileProgram(program, len(options), encoded)
    log = log_of(nvrtc, program)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if status:
        raise RuntimeError(f"{file} for {architecture} with {defines}: {log}")
    return {name: usage(rest) for name, rest in
            re.findall(r"entry function '(\w+)' for(.*?)(?=Compiling entry|\Z)", log, re.DOTALL)}


def log_of(nvrtc, program):
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return log.value.decode()


def usage(text):
    """The Usage that ptxas reports."""
    numbers = (re.search(pattern, text) for pattern in (r"Used (\d+) registers", r"(\d+) bytes spill stores",
                                                       r"(\d+) bytes smem"))
    return Usage(*(int(found[1]) if found else 0 for found in numbers))
