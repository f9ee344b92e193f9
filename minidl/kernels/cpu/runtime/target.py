"""The processor that kernels are compiled for, as far as they care: how wide its vectors are, and how many it has.

The width is one number that everything else takes from here. `MINIDL_VECTOR_BYTES` overrides it (16, 32 or 64), so
that one machine can test the code of the others; a width the processor lacks still works, only slower.
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

# Rows of the register tile, two vectors wide: with AVX-512, and with NEON, 14 * 2 sums, 2 vectors of B and one of A
# fill 31 of 32 registers; AVX2 and SSE have 16 registers, which 6 * 2 + 2 + 1 fill.
REGISTERS = 32 if VECTOR_BYTES == 64 or platform.machine().lower() in ("aarch64", "arm64") else 16
TILE_ROWS = 14 if REGISTERS == 32 else 6
LOW_ROWS = 8 if REGISTERS == 32 else 4         # of a lower tile, where it leaves fewer rows empty


def describe():
    """The target in words, for `minidl info`."""
    return f"{binding.get_host_cpu_name()}, {VECTOR_BYTES}-byte vectors ({WIDTHS[VECTOR_BYTES]})"
