"""The processor that kernels are compiled for: the width and number of its vector registers, and the tile they hold.

`MINIDL_VECTOR_BYTES` (16, 32 or 64) overrides the width, so that one machine can test the code of others. A width that
the processor lacks also works, but more slowly.
"""

import os
import platform

from llvmlite import binding

WIDTHS = {64: "AVX-512", 32: "AVX2", 16: "128-bit"}


def vector_bytes():
    """Bytes in one vector register of this processor."""
    asked = os.environ.get("MINIDL_VECTOR_BYTES")
    if asked is not None:
        if asked not in map(str, WIDTHS):
            raise ValueError(f"MINIDL_VECTOR_BYTES={asked} is none of {', '.join(map(str, sorted(WIDTHS)))}")
        return int(asked)
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


VECTOR_BYTES = vector_bytes()

# The register tile of the GEMM microkernel has MR rows and NR columns, where NR is two vectors. With 32 registers
# (AVX-512, NEON), 14 * 2 accumulators, 2 vectors of B and one of A fill 31; with 16 (AVX2, SSE), 6 * 2 + 2 + 1 fill 15.
REGISTERS = 32 if VECTOR_BYTES == 64 or platform.machine().lower() in ("aarch64", "arm64") else 16
MR = 14 if REGISTERS == 32 else 6
LOW_MR = 8 if REGISTERS == 32 else 4           # rows of a low tile, used where it leaves fewer of them empty
NR_BYTES = 2 * VECTOR_BYTES


def describe():
    """The target in words, for `minidl info`."""
    return f"{binding.get_host_cpu_name()}, {VECTOR_BYTES}-byte vectors ({WIDTHS[VECTOR_BYTES]})"
