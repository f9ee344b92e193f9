"""What schedules share: the learning rate as a function of the number of steps. Read `decay.py` next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.described import call
from minidl.optim.optimizer import Optimizer
from minidl.scalars import number, plain


class Schedule:
    """The learning rate as a function of the number of steps, `count`, and of a base learning rate for each group.

    The `base_lrs` are the initial learning rates of the groups (see `initial_lrs`), unless the schedule has others.
    Raises ValueError for a setting, or a learning rate from `lr_at`, that makes no sense.
    A subclass keeps its settings as attributes of their names: so they are printed, and part of the recipe of a run.
    """

    total_steps: float = math.inf               # how many steps it can take

    def __init__(self, optimizer: Optimizer, base_lrs: list[float] | None = None):
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self.optimizer, self.count = optimizer, 0
        self.base_lrs = [number(name, "lr", lr, 0) for lr in base_lrs or initial_lrs(optimizer)]
        self.apply()

    def __repr__(self) -> str:
        return call(self, without=("optimizer",))

    def lr_at(self, base_lr: float, count: int) -> float:
        """The learning rate after `count` steps of a group whose base learning rate is `base_lr`."""
        raise NotImplementedError(f"{type(self).__name__} has no lr_at")

    def lrs(self) -> list[float]:
        """The learning rate of each group at this step."""
        return [self.lr_at(base_lr, self.count) for base_lr in self.base_lrs]

    def apply(self) -> None:
        """Set the learning rate of every group."""
        set_lrs(self.optimizer, [number(f"{type(self).__name__}.lr_at", "lr", lr, 0) for lr in self.lrs()])

    def step(self) -> None:
        """Count one step, and set the learning rate for the next one."""
        self.count += 1
        self.apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group of the optimizer."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The progress of the schedule, for JSON, without its settings: to resume, create it with the same ones."""
        return {"count": self.count, "base_lrs": self.base_lrs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`, or from one of PyTorch's schedule, which calls the count `last_epoch`.

        Create the schedule before loading the optimizer's state: creating it sets lr.
        """
        self.count, self.base_lrs = state["count" if "count" in state else "last_epoch"], state["base_lrs"]
        self.apply()


def initial_lrs(optimizer: Optimizer) -> list[float]:
    """The learning rates that the groups had before schedules changed them.

    So the schedules of one optimizer can be created in any order. A learning rate that was set since then, by the user
    or by ReduceLROnPlateau, is an initial one too.
    """
    for group, seen in zip(optimizer.param_groups, optimizer.scheduled, strict=True):
        if "lr" not in seen or seen["lr"] != group["lr"]:
            seen["initial"] = seen["lr"] = group["lr"]
    return [seen["initial"] for seen in optimizer.scheduled]


def set_lrs(optimizer: Optimizer, lrs: Sequence[float]) -> None:
    """Set the learning rate of each group, remembering the initial ones."""
    initial_lrs(optimizer)
    for group, seen, lr in zip(optimizer.param_groups, optimizer.scheduled, lrs, strict=True):
        group["lr"] = seen["lr"] = lr


def linear(start: float, end: float, fraction: float) -> float:
    """Linear interpolation between start and end."""
    return start + (end - start) * fraction


def cosine(start: float, end: float, fraction: float) -> float:
    """Interpolation between start and end by half a period of a cosine, slow at both ends."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def per_group(schedule: str, optimizer: Optimizer, **setting: float | list[float]) -> list[float]:
    """A setting that is one number, or a list of them, as a list with one for each group of parameters."""
    [(name, value)] = setting.items()
    groups, value = len(optimizer.param_groups), plain(value)
    values = list(value) if isinstance(value, list | tuple) else [value] * groups
    if len(values) != groups:
        raise ValueError(f"{schedule}: {name}={value!r} must be one number or {groups}, one for each group")
    return [number(schedule, name, one, 0) for one in values]


def check_optimizer(schedule: str, optimizer: Any) -> None:
    """Raise TypeError unless `optimizer` is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{schedule}: its first argument is the optimizer, not {type(optimizer).__name__}")
