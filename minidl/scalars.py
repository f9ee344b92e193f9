"""Settings that are numbers, whichever library they come from.

A NumPy scalar, and an array or a Tensor without axes, count as the Python number that they hold: Python's numbers can
be stored as JSON, and do not promote float32 to float64.
"""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

PYTHON = frozenset({bool, int, float, str, type(None)})


def plain(value: Any) -> Any:
    """Python's numbers in place of others, also in lists and dictionaries; a NumPy array becomes a list.

    Any other value is returned as it is.
    """
    if type(value) in PYTHON:
        return value
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    elif getattr(value, "shape", None) == () and hasattr(value, "item"):                   # a Tensor, not a dtype
        value = value.item()
    if isinstance(value, Real) and not isinstance(value, int | float):           # a fraction, or a long double
        return int(value) if isinstance(value, Integral) else float(value)
    if type(value) in (tuple, list):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def number(owner: str, setting: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    """A setting as a Python float; it must be a finite number from `least` to `most`."""
    if type(value) is float and least <= value <= most and math.isfinite(value):         # the usual case, quickly
        return value
    chosen = plain(value)
    is_number = isinstance(chosen, Real) and not isinstance(chosen, bool) and math.isfinite(chosen)
    if is_number and least <= float(chosen) <= most:
        return float(chosen)
    bounds = f" of at least {least:g}" if most == math.inf else f" from {least:g} to {most:g}"
    bounds = "" if least == -math.inf else bounds
    remedy = "; convert text with float()" if isinstance(value, str) else ""
    raise ValueError(f"{owner}: {setting}={value!r} must be a finite number{bounds}{remedy}")


def whole(owner: str, setting: str, value: Any, least: float = 1) -> int:
    """A setting as a Python int; it must be a whole number of at least `least`, which may be -infinity."""
    if type(value) is int and value >= least:                                            # the usual case, quickly
        return value
    chosen = plain(value)
    if isinstance(chosen, Integral) and not isinstance(chosen, bool) and int(chosen) >= least:
        return int(chosen)
    bound = "" if least == -math.inf else f" of at least {least}"
    raise ValueError(f"{owner}: {setting}={value!r} must be a whole number{bound}")


def flag(owner: str, setting: str, value: Any) -> bool:
    """A setting as a Python bool; it must be True or False, or 1 or 0."""
    chosen = plain(value)
    if isinstance(chosen, Integral) and chosen in (0, 1):
        return bool(chosen)
    raise ValueError(f"{owner}: {setting}={value!r} must be True or False")


def check_set_to_none(owner: str, set_to_none: Any) -> None:
    """Raise ValueError for zero_grad(set_to_none=False), which PyTorch has and this project does not."""
    if not flag(f"{owner}.zero_grad", "set_to_none", set_to_none):
        raise ValueError(f"{owner}.zero_grad: set_to_none=False is not supported; gradients are set to None, and a "
                         "parameter without a gradient is not updated")
