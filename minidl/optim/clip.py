"""Gradient clipping: gradients that are too large are scaled down, without a change of direction."""

import math
from collections.abc import Iterable
from numbers import Real

from minidl.device import array_module
from minidl.scalars import plain
from minidl.tensor import Tensor


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients g by min(1, max_norm / |g|), where |g| is the Euclidean norm of all of them as one vector.

    Each gradient is replaced by a new array; none is changed in place. Returns |g| from before scaling. If that is not
    finite, nothing is scaled, so that the caller can skip the step.
    Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1.
    """
    if hasattr(parameters, "named_parameters"):
        raise TypeError("clip_grad_norm_: pass model.parameters(), not the model")
    max_norm = plain(max_norm)
    if not isinstance(max_norm, Real) or isinstance(max_norm, bool) or not max_norm > 0:        # NaN is not
        raise ValueError(f"clip_grad_norm_: max_norm={max_norm!r} must be a number larger than 0, or infinity")
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    clipped = [(p, p.grad) for p in parameters if p.grad is not None]
    if not clipped:
        return 0.0
    xp = array_module(clipped[0][1])
    squares = sum(xp.square(grad, dtype=xp.float64).sum() for _, grad in clipped)     # 1e20 squared overflows float32
    total = math.sqrt(float(squares))
    scale = float(max_norm) / (total + 1e-6)                 # PyTorch's epsilon
    if math.isfinite(total) and scale < 1:
        for p, grad in clipped:
            p.grad = grad * scale
    return total
