"""Checks of values that come from a user or from a file."""

import math
import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from minidl.scalars import plain

BRIGHTEST = 2.0                                  # a larger mean or deviation is for pixels in 0..255, not in 0..1


def as_path(owner: str, path: str | os.PathLike[str], kind: type[ValueError] = ValueError) -> Path:
    """`path` as a Path. Raises TypeError if it is neither text nor a Path, and `kind` if no file can have that name."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{owner}: path must be text or a Path, not {type(path).__name__}")
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise kind(f"{str(path)!r} is not the name of a file where the locale's encoding is {error.encoding}") from None
    if not name or b"\0" in name:
        raise kind(f"{str(path)!r} is not the name of a file")
    return Path(path)


def is_whole(value: Any, least: int = 0, most: float = math.inf) -> bool:
    """Whether a value is an integer from `least` to `most`, and not a bool."""
    value = plain(value)
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def per_channel(name: str, values: Sequence[float] | np.ndarray, channels: int) -> tuple[float, ...]:
    """`values` as a tuple of one float per channel. Raises ValueError, beginning with `name`, if they are not that."""
    try:
        array = np.asarray(values)
    except ValueError:                           # lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf" or array.shape != (channels,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be one finite number per channel, {channels} in all, not {values!r:.100}")
    numbers = tuple(map(float, array))
    if max(numbers, default=0) > BRIGHTEST:
        scaled = ", ".join(f"{number / 255:.6g}" for number in numbers)
        given = ", ".join(f"{number:g}" for number in numbers)
        raise ValueError(f"{name} is for pixels in 0..1, and ({given}) is for pixels in 0..255; divided by 255 it is "
                         f"({scaled})")
    return numbers
