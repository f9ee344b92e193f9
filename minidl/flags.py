"""Types of command-line arguments, for `add_argument(type=...)`; each refuses bad text with a sentence."""

import json
import math
from argparse import ArgumentTypeError
from collections.abc import Callable

DIGITS = 18                                      # of a whole number; Python refuses thousands


def whole(least: int = 1) -> Callable[[str], int]:
    """The type of whole numbers of at least `least`."""
    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > DIGITS or int(text) < least:
            raise ArgumentTypeError(f"{text!r:.60} is not a whole number of at least {least}")
        return int(text)
    return parse


def number(fits: Callable[[float], bool], rule: str) -> Callable[[str], float]:
    """The type of finite numbers for which `fits` is true; `rule` says in words which they are."""
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise ArgumentTypeError(f"{text!r} is not a number {rule}")
        return value
    return parse


def numbers(text: str) -> tuple[float, ...]:
    """(0.5, 0.25) from "0.5,0.25"."""
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a list of numbers separated by commas") from None


def image_shape(text: str) -> tuple[int, ...]:
    """(1, 28, 28) from "1,28,28"."""
    try:
        shape = tuple(whole()(part.strip()) for part in text.split(","))
    except ArgumentTypeError:
        shape = ()
    if len(shape) != 3:
        raise ArgumentTypeError(f"{text!r:.60} is not three whole numbers of at least 1, such as 1,28,28")
    return shape


def setting(text: str) -> tuple[str, object]:
    """("width", 0.5) from "width=0.5"; the value is JSON."""
    name, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, json.loads(value)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as width=0.5 or tf_padding=true") from None


def factor(text: str) -> tuple[str, float]:
    """("blocks", 0.1) from "blocks=0.1"."""
    name, _, value = text.rpartition("=")
    if not name:
        raise ArgumentTypeError(f"{text!r} is not NAME=FACTOR, such as blocks=0.1")
    return name, number(lambda x: x >= 0, "of at least 0")(value)


def numbers_of_epochs(text: str) -> list[int]:
    """[30, 60] from "30,60"; they must ascend."""
    epochs = [whole()(part.strip()) for part in text.split(",")]
    if epochs != sorted(set(epochs)):
        raise ArgumentTypeError(f"{text!r} is not a list of ascending numbers of epochs, such as 30,60")
    return epochs
