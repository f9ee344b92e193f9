"""Gradient clipping: gradients that are too large are scaled down, without a change of direction."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

from minidl.device import at
from minidl.kernels import backend
from minidl.scalars import plain
from minidl.tensor import Tensor

EPSILON = 1e-6                                   # PyTorch's


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
    return float(clipped([parameters] if isinstance(parameters, Tensor) else parameters, float(max_norm)))


def clipped(parameters: Iterable[Tensor], max_norm: float) -> Any:
    """The same; returns |g| as a number, of gradients on a GPU as an array, for which nobody has waited."""
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    if not pairs:
        return 0.0
    if not isinstance(pairs[0][1], np.ndarray):
        with at(pairs[0][1]):
            scaled, norm = backend(pairs[0][1]).clip([grad for _, grad in pairs], max_norm, EPSILON)
        for (p, _), grad in zip(pairs, scaled, strict=True):
            p.grad = grad
        return norm
    total = math.sqrt(sum(float(np.square(grad, dtype=np.float64).sum()) for _, grad in pairs))      # or 1e20 overflows
    scale = max_norm / (total + EPSILON)
    if math.isfinite(total) and scale < 1:
        for p, grad in pairs:
            p.grad = grad * scale
    return total
