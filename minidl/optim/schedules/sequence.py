"""Schedules one after the other: a warm-up in front of any, or several in a row."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from minidl.optim.optimizer import Optimizer
from minidl.optim.schedules.plateau import ReduceLROnPlateau, needs_metric
from minidl.optim.schedules.schedule import Schedule, check_optimizer, linear, set_lrs
from minidl.scalars import number, plain, whole

AnySchedule = Schedule | ReduceLROnPlateau


class ConstantLR(Schedule):
    """lr = base_lr * factor until count = total_iters, then base_lr."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5):
        self.factor = number("ConstantLR", "factor", factor, 0, 1)
        self.total_iters = whole("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return base_lr * self.factor if count < self.total_iters else base_lr


class LinearLR(Schedule):
    """lr = base_lr * (start_factor + (end_factor - start_factor) * count / total_iters) until count = total_iters."""

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0,
                 total_iters: int = 5):
        self.start_factor = number("LinearLR", "start_factor", start_factor, 0, 1)
        self.end_factor = number("LinearLR", "end_factor", end_factor, 0, 1)
        self.total_iters = whole("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return base_lr * linear(self.start_factor, self.end_factor, min(1.0, count / self.total_iters))


class LinearWarmup(Schedule):
    """lr = base_lr * (start_factor + (1 - start_factor) * count / total_iters) until count = total_iters.

    after  a schedule of the same optimizer, created before this one; its steps start when the warm-up is over, and
           base_lr is the learning rate with which it starts
    Goyal et al., "Accurate, large minibatch SGD", 2017 (arXiv:1706.02677), section 2.2.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, start_factor: float = 1 / 3,
                 after: AnySchedule | None = None):
        check_optimizer("LinearWarmup", optimizer)
        if after is not None:
            check_part("LinearWarmup", "after", after, optimizer)
        self.total_iters = whole("LinearWarmup", "total_iters", total_iters)
        self.start_factor, self.after = number("LinearWarmup", "start_factor", start_factor, 0, 1), after
        self.total_steps = self.total_iters + (math.inf if after is None else length(after))
        super().__init__(optimizer, [group["lr"] for group in optimizer.param_groups])

    def lr_at(self, base_lr: float, count: int) -> float:
        return linear(base_lr * self.start_factor, base_lr, min(1.0, count / self.total_iters))

    def step(self, *metrics: float) -> None:
        """Count one step; after the warm-up, it is a step of `after`, which gets the metric if it needs one."""
        if self.count >= self.total_iters and self.after is not None:
            advance(self.after, metrics)
        else:
            super().step()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "after": self.after and self.after.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.after is not None:
            self.after.load_state_dict(state["after"])
        self.count, self.base_lrs = state["count"], state["base_lrs"]
        if self.count < self.total_iters or self.after is None:
            self.apply()


class SequentialLR(Schedule):
    """Several schedules of one optimizer, one after the other; each starts with its own step 0.

    milestones  the step at which each but the first starts
    ReduceLROnPlateau starts from the learning rate that it finds; every other with its own.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[AnySchedule], milestones: Sequence[int]):
        name = "SequentialLR"
        check_optimizer(name, optimizer)
        if not isinstance(schedulers, list | tuple) or not schedulers:
            raise ValueError(f"{name}: schedulers={schedulers!r} must be a list of schedules")
        for part in schedulers:
            check_part(name, "schedulers", part, optimizer)
        self.parts, self.milestones = list(schedulers), ascending(name, milestones)
        if len(self.milestones) != len(self.parts) - 1:
            raise ValueError(f"{name}: {len(self.parts)} schedules need {len(self.parts) - 1} milestones, not "
                             f"{len(self.milestones)}: milestones={milestones!r}")
        starts = [0, *self.milestones]
        for start, end, part in zip(starts, self.milestones, self.parts, strict=False):
            if length(part) < end - start:
                raise ValueError(f"{name}: {type(part).__name__} ends after {length(part)} steps, but has to take "
                                 f"{end - start}, from step {start} to milestone {end}")
        self.total_steps = starts[-1] + length(self.parts[-1])
        super().__init__(optimizer)

    def current(self) -> AnySchedule:
        """The part that has started last."""
        return self.parts[bisect_right(self.milestones, self.count)]

    def apply(self) -> None:
        part = self.current()
        if isinstance(part, Schedule):
            part.apply()
        elif self.count == 0:
            set_lrs(self.optimizer, self.base_lrs)           # which the parts changed when they were created

    def step(self, *metrics: float) -> None:
        """Count one step, of the schedule whose turn it is, which gets the metric if it needs one."""
        self.count += 1
        if self.count in self.milestones:
            self.apply()
        else:
            advance(self.current(), metrics)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        super().load_state_dict(state)


def advance(schedule: AnySchedule, metrics: Sequence[float]) -> None:
    """One step of a schedule, with the metric only if it takes one."""
    step: Any = schedule.step
    step(*(metrics if needs_metric(schedule) else ()))


def length(schedule: Any) -> float:
    """How many steps a schedule can take."""
    return getattr(schedule, "total_steps", math.inf)


def ascending(schedule: str, milestones: Any) -> list[int]:
    """Numbers of steps, each at least 1 and larger than the one before."""
    milestones = plain(milestones)
    if not isinstance(milestones, list | tuple):
        raise ValueError(f"{schedule}: milestones={milestones!r} must be a list of numbers of steps: [30, 60]")
    checked = [whole(schedule, "milestones", milestone) for milestone in milestones]
    if checked != sorted(set(checked)):
        raise ValueError(f"{schedule}: milestones={milestones!r} must ascend")
    return checked


def check_part(schedule: str, setting: str, part: Any, optimizer: Optimizer) -> None:
    """Raise unless `part` is a schedule of this optimizer."""
    if not callable(getattr(part, "step", None)) or isinstance(part, Optimizer):
        raise TypeError(f"{schedule}: {setting} must be a schedule, such as StepLR(optimizer, 10), not {part!r}")
    if getattr(part, "optimizer", optimizer) is not optimizer:
        raise ValueError(f"{schedule}: the {type(part).__name__} in {setting} belongs to another optimizer")
