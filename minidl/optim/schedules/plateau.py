"""A learning rate that falls when a metric no longer improves. Read `sequence.py` next."""

import math
from numbers import Real
from typing import Any

from minidl.described import call
from minidl.optim.optimizer import Optimizer
from minidl.optim.schedules.schedule import check_optimizer, per_group
from minidl.scalars import number, plain, whole


class ReduceLROnPlateau:
    """lr <- max(lr * factor, min_lr) when a metric has not improved for more than `patience` steps.

    mode        "min": smaller is better; "max": larger is better
    threshold   the smallest improvement that counts: with threshold_mode "rel" a fraction of the size of the best
                value, with "abs" a difference. For negative metrics PyTorch's "rel" counts what is worse as better
    cooldown    steps after a reduction during which no bad steps are counted
    min_lr      lower bound: one for all groups of parameters, or a list with one for each
    eps         a reduction by no more than this is skipped
    """

    total_steps = math.inf

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
                 min_lr: float | list[float] = 0.0, eps: float = 1e-8):
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode={mode!r} must be 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode={threshold_mode!r} must be 'rel' or 'abs'")
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self.factor = number(name, "factor", factor, 0)
        if self.factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor={factor} must be at least 0 and less than 1")
        self.optimizer, self.mode, self.threshold_mode = optimizer, mode, threshold_mode
        self.patience, self.cooldown = whole(name, "patience", patience, 0), whole(name, "cooldown", cooldown, 0)
        self.threshold, self.eps = number(name, "threshold", threshold), number(name, "eps", eps)
        self.min_lr, self.min_lrs = plain(min_lr), per_group(name, optimizer, min_lr=min_lr)
        self.best: float | None = None
        self.bad, self.resting = 0, 0           # steps without improvement; steps of cooldown that are left

    def __repr__(self) -> str:
        return call(self, without=("optimizer",))

    def step(self, metrics: float) -> None:
        """Compare the metric of one epoch with the best, and reduce the learning rate after too many bad ones."""
        metrics = plain(metrics)
        if not isinstance(metrics, Real) or isinstance(metrics, bool):
            raise ValueError(f"ReduceLROnPlateau.step: metrics={metrics!r} must be a number, such as an epoch's loss")
        metrics = float(metrics)
        if self.better(metrics):
            self.best, self.bad = metrics, 0
        else:
            self.bad += 1
        if self.resting:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > self.patience:
            for group, min_lr in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, min_lr)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
            self.resting, self.bad = self.cooldown, 0

    def better(self, metrics: float) -> bool:
        """Whether a metric improves on the best value by more than the threshold."""
        if self.best is None:
            return math.isfinite(metrics)
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1)
        return metrics < self.best - margin if self.mode == "min" else metrics > self.best + margin

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group of the optimizer."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The progress of the schedule, for JSON; the learning rate is saved with the optimizer."""
        return {"best": self.best, "bad": self.bad, "resting": self.resting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.best, self.bad, self.resting = state["best"], state["bad"], state["resting"]


def needs_metric(schedule: Any) -> bool:
    """Whether `schedule.step` takes the metric of an epoch: it is a ReduceLROnPlateau, or holds one, however deep."""
    if isinstance(schedule, list | tuple):
        return any(map(needs_metric, schedule))
    if isinstance(schedule, Optimizer) or not hasattr(schedule, "step"):
        return False
    return isinstance(schedule, ReduceLROnPlateau) or any(
        map(needs_metric, getattr(schedule, "__dict__", {}).values()))
