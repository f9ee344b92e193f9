"""Questions about tensors that have one answer."""

from typing import Any

import numpy as np

from minidl import Tensor
from minidl.modes import mode
from minidl.tensor import as_array


def all(x: Tensor) -> Tensor:
    """Whether all elements are true."""
    return x.all()


def any(x: Tensor) -> Tensor:
    """Whether any element is true."""
    return x.any()


def equal(a: Any, b: Any) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    return bool(np.array_equal(as_array(a), as_array(b)))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |a - b| <= atol + rtol * |b|, elementwise."""
    return Tensor(np.isclose(as_array(a), as_array(b), rtol, atol, equal_nan))


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |a - b| <= atol + rtol * |b| for all elements."""
    return bool(isclose(a, b, rtol, atol, equal_nan).data.all())


def is_tensor(x: Any) -> bool:
    """Whether x is a Tensor."""
    return isinstance(x, Tensor)


def numel(x: Tensor) -> int:
    """The number of elements."""
    return x.numel()


def is_grad_enabled() -> bool:
    """Whether operations are recorded: not under no_grad."""
    return mode.recording
