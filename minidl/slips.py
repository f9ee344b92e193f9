"""The tape as text, and mistakes in an op that its author can make, as sentences that say what to write instead."""

import re
from typing import Any

import numpy as np

from minidl.arrays import named
from minidl.device import is_array

RETURNS = "an op returns two things, its output and backward: return out, backward"
ARRAYS = ("inside an op there are arrays, not tensors: compute with NumPy (xp = array_module(x)), not with "
          "minidl.functional")


def tape(nodes: list[Any]) -> str:
    """The nodes of a tape, oldest first, one in a line: its number, its op, the numbers of its inputs, its shape."""
    numbers = {node: i for i, node in enumerate(nodes, 1)}
    rows = []
    for node in nodes:
        inputs = ", ".join("constant" if parent is None else str(numbers[parent]) for parent in node.parents)
        grad = node.grad
        told = "" if grad is None else f"grad {grad.item():.6g}" if grad.size == 1 else "has a grad"
        call = f"{node.name}({inputs})" if node.parents else node.name
        rows.append((str(numbers[node]), call, str(node.shape), told))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([number.rjust(widths[0]), text.ljust(widths[1]), shape.ljust(widths[2]), told]).rstrip()
                     for number, text, shape, told in rows)


def check_result(name: str, result: Any) -> None:
    """Raise TypeError unless `result` is what the function of an op returns: (output, backward)."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"{name}: its function returned {kind(result)}; {RETURNS}")
    out, backward = result
    if is_tensor(out):
        raise TypeError(f"{name}: its output is a Tensor; {ARRAYS}")
    if not is_array(out) and not isinstance(out, np.generic):
        raise TypeError(f"{name}: its output is {kind(out)}, and must be an array; numpy.asarray makes one of numbers")
    if not callable(backward):
        raise TypeError(f"{name}: in place of backward it returned {kind(backward)}; {RETURNS}")


def of_forward(name: str, error: Exception) -> Exception:
    """The error in the function of an op, which says more if it comes from a tensor that was used as an array."""
    if not re.match("'Tensor' object has no attribute|Tensor has no ", str(error)):
        return error
    return TypeError(f"{name}: {error}; {ARRAYS}")


def of_backward(error: Exception, node: Any, there: Any = None) -> Exception:
    """The error in the backward of a node, with the op's name."""
    name = f"backward of {node.name}"
    if isinstance(error, RuntimeError | FloatingPointError) or str(error).startswith("backward") or not node.parents:
        return error                             # of the tape itself, or of what waits for the gradient of a leaf
    if isinstance(error, MemoryError):
        return named(error, name, node.parents, there)
    if not callable(node.backward):
        return TypeError(f"{name}: in place of backward the op returned {kind(node.backward)}; {RETURNS}")
    if isinstance(error, ValueError | TypeError | IndexError):
        inputs = ", ".join("no tensor" if parent is None else str(parent.shape) for parent in node.parents)
        return (TypeError if isinstance(error, TypeError) else ValueError)(
            f"{name}: {error} (grad: {node.shape}, as the output; inputs: {inputs})")
    error.add_note(f"in {name}")
    return error


def is_tensor(x: Any) -> bool:
    """Whether `x` is a Tensor, which this file is below."""
    return hasattr(x, "requires_grad")


def kind(x: Any) -> str:
    """What something is, for a sentence."""
    if isinstance(x, tuple):
        return f"{len(x)} things"
    return f"an array {x.shape}" if is_array(x) else "None" if x is None else f"a {type(x).__name__}"
