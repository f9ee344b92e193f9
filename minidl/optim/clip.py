"""Gradient clipping: a step in the same direction, but never longer than asked for."""

import math

from minidl.device import array_module
from minidl.tensor import Tensor


def clip_grad_norm_(parameters, max_norm):
    """Scale all gradients g by min(1, max_norm / |g|), with |g| the Euclidean length of all of them as one vector.

    Gradients are values: each is replaced by a new array, none is written into. Returns |g|, before scaling; where it
    is not finite nothing is scaled, so that the caller can leave the step out.
    Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm_: max_norm={max_norm!r} must be larger than 0")
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    clipped = [p for p in parameters if p.grad is not None]
    if not clipped:
        return 0.0
    xp = array_module(clipped[0].grad)
    squares = sum(xp.square(p.grad, dtype=xp.float64).sum() for p in clipped)     # in float32, 1e20 has no square
    total = math.sqrt(float(squares))
    scale = float(max_norm) / (total + 1e-6)                 # the same small number as PyTorch's
    if math.isfinite(total) and scale < 1:
        for p in clipped:
            p.grad = p.grad * scale
    return total
