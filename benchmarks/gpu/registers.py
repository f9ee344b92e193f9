"""Registers, spills and shared memory of every CUDA kernel, for each generation of GPUs; needs no GPU.

    python benchmarks/gpu/registers.py [sm_90 ...]

Needs NVRTC: the extra `test`, or the package nvidia-cuda-nvrtc.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / folder) for folder in ("", "tests/kernels/gpu")]
import nvrtc  # noqa: E402


def main(architectures):
    if nvrtc.library() is None:
        sys.exit(nvrtc.MISSING)
    print(f"{'architecture':14}{'registers':>10}{'spilled':>9}{'shared':>8}  kernel and defines")
    for architecture in architectures:
        for file in nvrtc.sources():
            for defines in nvrtc.variants(file, architecture):
                for name, used in nvrtc.compiled(file, architecture, defines).items():
                    print(f"{architecture:14}{used.registers:10}{used.spilled:9}{used.shared:8}  {name}", *defines)


if __name__ == "__main__":
    main(sys.argv[1:] or nvrtc.ARCHITECTURES)
