"""Checks of values that come from a user or from a file."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np


def is_whole(value: Any, least: int = 0, most: float = math.inf) -> bool:
    """Whether a value is an integer from `least` to `most`, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def per_channel(name: str, values: Sequence[float] | np.ndarray, channels: int) -> tuple[float, ...]:
    """`values` as a tuple of one float per channel. Raises ValueError, beginning with `name`, if they are not that."""
    try:
        array = np.asarray(values)
    except ValueError:                           # lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf" or array.shape != (channels,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be one finite number per channel, {channels} in all, not {values!r:.100}")
    return tuple(map(float, array))
