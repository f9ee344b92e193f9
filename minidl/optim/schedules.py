"""Learning rate schedules: each call of `step` sets the learning rate of the optimizer.

The caller decides whether that is after every epoch or after every batch; the settings count these steps. The learning
rate of all but ReduceLROnPlateau is a function, `lr_at`, of the number of steps and of the initial learning rate, so
that groups of parameters keep different ones. Names, settings and values are PyTorch's; LinearWarmup is PyTorch's
LinearLR with another schedule after it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from numbers import Real
from typing import Any

from minidl.optim.optimizer import Optimizer
from minidl.scalars import flag, number, plain, whole


class Schedule:
    """The learning rate as a function of the number of steps, `count`, and of a base learning rate for each group.

    The `base_lrs` are the initial learning rates of the groups, unless the schedule has others. Raises ValueError for a
    setting, or a learning rate from `lr_at`, that makes no sense.
    """

    def __init__(self, optimizer: Optimizer, base_lrs: list[float] | None = None):
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self.optimizer, self.count = optimizer, 0
        self.base_lrs = [number(name, "lr", lr, 0) for lr in base_lrs or [g["lr"] for g in optimizer.param_groups]]
        self.apply()

    def lr_at(self, base_lr: float, count: int) -> float:
        """The learning rate after `count` steps of a group whose base learning rate is `base_lr`."""
        raise NotImplementedError(f"{type(self).__name__} has no lr_at")

    def apply(self) -> None:
        """Set the learning rate of every group."""
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = number(f"{type(self).__name__}.lr_at", "lr", self.lr_at(base_lr, self.count), 0)

    def step(self) -> None:
        """Count one step, and set the learning rate for the next one."""
        self.count += 1
        self.apply()

    def state_dict(self) -> dict[str, Any]:
        """The progress of the schedule, for JSON, without its settings: to resume, create it with the same ones."""
        return {"count": self.count, "base_lrs": self.base_lrs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`. Create the schedule before loading the optimizer's state: creating it sets lr."""
        self.count, self.base_lrs = state["count"], state["base_lrs"]
        self.apply()


class StepLR(Schedule):
    """lr = base_lr * gamma ** floor(count / step_size)"""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size, self.gamma = whole("StepLR", "step_size", step_size), number("StepLR", "gamma", gamma)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return base_lr * self.gamma ** (count // self.step_size)


class MultiStepLR(Schedule):
    """lr = base_lr * gamma ** (number of milestones reached)"""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1):
        milestones = plain(milestones)
        if not isinstance(milestones, list | tuple):
            raise ValueError(f"MultiStepLR: milestones={milestones!r} must be a list of numbers of steps: [30, 60]")
        self.milestones = sorted(whole("MultiStepLR", "milestones", milestone, 0) for milestone in milestones)
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return base_lr * self.gamma ** bisect_right(self.milestones, count)


class CosineAnnealingLR(Schedule):
    """lr = eta_min + (base_lr - eta_min) * (1 + cos(pi * count / T_max)) / 2; it rises again after T_max.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return cosine(base_lr, self.eta_min, count / self.T_max)


class OneCycleLR(Schedule):
    """From max_lr / div_factor up to max_lr, then down to max_lr / (div_factor * final_div_factor).

    max_lr           peak learning rate: one for all groups of parameters, or a list with one for each
    total_steps      the length of the whole cycle
    pct_start        the fraction of total_steps in which the learning rate rises
    anneal_strategy  "cos" or "linear": the shape of both phases
    cycle_momentum   momentum (Adam's first beta) moves inversely: from max_momentum to base_momentum and back
    Smith and Topin, "Super-convergence", 2018 (arXiv:1708.07120); in PyTorch's form, of two phases.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int, *, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float = 0.85,
                 max_momentum: float = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4):
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = whole("OneCycleLR", "total_steps", total_steps)
        self.peak_count = number("OneCycleLR", "pct_start", pct_start, 0, 1) * self.total_steps - 1
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy={anneal_strategy!r} must be 'cos' or 'linear'")
        has_momentum = getattr(optimizer, "momentum", 0) or hasattr(optimizer, "betas")
        if flag("OneCycleLR", "cycle_momentum", cycle_momentum) and not has_momentum:
            raise ValueError("OneCycleLR: the optimizer has no momentum; set it, or pass cycle_momentum=False")
        self.between = cosine if anneal_strategy == "cos" else linear
        self.div_factor = number("OneCycleLR", "div_factor", div_factor)
        self.final_div_factor = number("OneCycleLR", "final_div_factor", final_div_factor)
        base, most = (number("OneCycleLR", "base_momentum", base_momentum, 0, 1),
                      number("OneCycleLR", "max_momentum", max_momentum, 0, 1))
        self.momenta = (most, base, most) if cycle_momentum else None
        super().__init__(optimizer, per_group("OneCycleLR", optimizer, max_lr=max_lr))

    def cycle(self, values: tuple[float, float, float], count: int) -> float:
        """The value at `count`: from the first of three values to the second at the peak, and on to the third."""
        start, peak, end = values
        if count <= self.peak_count:
            return self.between(start, peak, count / self.peak_count if self.peak_count else 1.0)
        return self.between(peak, end, min(1.0, (count - self.peak_count) / (self.total_steps - 1 - self.peak_count)))

    def lr_at(self, base_lr: float, count: int) -> float:
        if count > self.total_steps:
            raise ValueError(f"OneCycleLR: step {count} comes after the last of total_steps={self.total_steps}")
        initial = base_lr / self.div_factor
        return self.cycle((initial, base_lr, initial / self.final_div_factor), count)

    def apply(self) -> None:
        super().apply()
        if self.momenta is not None:
            momentum = self.cycle(self.momenta, self.count)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum


class LinearWarmup(Schedule):
    """lr = base_lr * (start_factor + (1 - start_factor) * count / total_iters) until count = total_iters.

    after  a schedule of the same optimizer, created before this one; its steps start when the warm-up is over
    Goyal et al., "Accurate, large minibatch SGD", 2017 (arXiv:1706.02677), section 2.2.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, start_factor: float = 1 / 3,
                 after: Schedule | ReduceLROnPlateau | None = None):
        if after is not None and after.optimizer is not optimizer:
            raise ValueError("LinearWarmup: the schedule `after` belongs to another optimizer")
        self.total_iters = whole("LinearWarmup", "total_iters", total_iters)
        self.start_factor, self.after = number("LinearWarmup", "start_factor", start_factor, 0, 1), after
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return linear(base_lr * self.start_factor, base_lr, min(1.0, count / self.total_iters))

    def step(self, *metrics: float) -> None:
        """Count one step; after the warm-up, it is a step of `after`, which gets the metric if it needs one."""
        if self.count >= self.total_iters and self.after is not None:
            self.after.step(*(metrics if needs_metric(self.after) else ()))
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


class ReduceLROnPlateau:
    """lr <- max(lr * factor, min_lr) when a metric has not improved for more than `patience` steps.

    mode        "min": smaller is better; "max": larger is better
    threshold   the smallest improvement that counts: with threshold_mode "rel" a fraction of the size of the best
                value, with "abs" a difference. For negative metrics PyTorch's "rel" counts what is worse as better
    cooldown    steps after a reduction during which no bad steps are counted
    min_lr      lower bound: one for all groups of parameters, or a list with one for each
    eps         a reduction by no more than this is skipped
    """

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
        self.min_lrs = per_group(name, optimizer, min_lr=min_lr)
        self.best: float | None = None
        self.bad, self.resting = 0, 0           # steps without improvement; steps of cooldown that are left

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

    def state_dict(self) -> dict[str, Any]:
        """The progress of the schedule, for JSON; the learning rate is saved with the optimizer."""
        return {"best": self.best, "bad": self.bad, "resting": self.resting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.best, self.bad, self.resting = state["best"], state["bad"], state["resting"]


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


def needs_metric(schedule: Any) -> bool:
    """Whether `schedule.step` takes the metric of an epoch: it is a ReduceLROnPlateau, or holds one, however deep."""
    if isinstance(schedule, list | tuple):
        return any(map(needs_metric, schedule))
    if isinstance(schedule, Optimizer) or not hasattr(schedule, "step"):
        return False
    return isinstance(schedule, ReduceLROnPlateau) or any(
        map(needs_metric, getattr(schedule, "__dict__", {}).values()))


def check_optimizer(schedule: str, optimizer: Any) -> None:
    """Raise TypeError unless `optimizer` is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{schedule}: its first argument is the optimizer, not {type(optimizer).__name__}")
