"""Reads `states.txt`: {network: {name of a weight: shape}}."""

import re
from pathlib import Path


def read_states():
    """All networks of the table. The comment at its top describes the format."""
    states = {}
    for line in (Path(__file__).parent / "states.txt").read_text().splitlines():
        if line.startswith("["):
            state = states[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            modules, *kind, sizes = line.split()
            shape = tuple(map(int, sizes.split("x")))
            for module in expanded(modules):
                state.update({f"{module}.{name}": s for name, s in tensors("".join(kind), shape)})
    return states


def tensors(kind, shape):
    """(name, shape) of each parameter and buffer of one module."""
    if kind == "norm":
        return [(name, shape) for name in ("weight", "bias", "running_mean", "running_var")] + [
            ("num_batches_tracked", ())]
    return [("weight", shape)] + ([("bias", shape[:1])] if kind == "bias" else [])


def expanded(modules):
    """layer1.{1-2}.bn1 -> layer1.1.bn1, layer1.2.bn1"""
    parts = re.fullmatch(r"(.*)\{(\d+)-(\d+)\}(.*)", modules)
    if not parts:
        return [modules]
    before, first, last, after = parts.groups()
    return [f"{before}{i}{after}" for i in range(int(first), int(last) + 1)]
