"""Microkernels: the innermost loops, written as LLVM instructions. `vectors.py` is their vocabulary."""
