"""Learning rates that change while training goes on: each schedule sets the optimizer's when its `step` is called.

Whether that is after every epoch or after every batch is for the caller to choose, and the settings count such steps.
All but ReduceLROnPlateau are a function of the count alone, written down in `lr_at`, and of the rate that a group of
parameters came with: so each group keeps its own. Names, settings and values are PyTorch's; LinearWarmup is PyTorch's
LinearLR with another schedule behind it.
"""

import math
from bisect import bisect_right


class Schedule:
    """The learning rate as a function of the number of steps, `count`, and of `base_lrs`, one for each group.

    They are the rates that the groups came with, unless the schedule has others.
    """

    def __init__(self, optimizer, base_lrs=None):
        self.optimizer, self.count = optimizer, 0
        self.base_lrs = base_lrs or [group["lr"] for group in optimizer.param_groups]
        self.apply()

    def lr_at(self, base_lr, count):
        """The learning rate, after `count` steps, of a group that came with `base_lr`."""
        raise NotImplementedError(f"{type(self).__name__} has no lr_at")

    def apply(self):
        """Set what the optimizer shall use now."""
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.lr_at(base_lr, self.count)

    def step(self):
        """Count one step, and set the learning rate for what follows."""
        self.count += 1
        self.apply()

    def state_dict(self):
        """Where the schedule stands, for JSON; its settings are given anew when it is made again."""
        return {"count": self.count, "base_lrs": self.base_lrs}

    def load_state_dict(self, state):
        """Go on from a `state_dict`; make the schedule before you load its optimizer's state, for making it sets lr."""
        self.count, self.base_lrs = state["count"], state["base_lrs"]
        self.apply()


class StepLR(Schedule):
    """lr = base_lr * gamma ** floor(count / step_size)"""

    def __init__(self, optimizer, step_size, gamma=0.1):
        check_steps("StepLR", step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def lr_at(self, base_lr, count):
        return base_lr * self.gamma ** (count // self.step_size)


class MultiStepLR(Schedule):
    """lr = base_lr * gamma ** (how many of the milestones have been reached)"""

    def __init__(self, optimizer, milestones, gamma=0.1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def lr_at(self, base_lr, count):
        return base_lr * self.gamma ** bisect_right(self.milestones, count)


class CosineAnnealingLR(Schedule):
    """lr = eta_min + (base_lr - eta_min) * (1 + cos(pi * count / T_max)) / 2, which rises again after T_max.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5, without restarts.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0):
        check_steps("CosineAnnealingLR", T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def lr_at(self, base_lr, count):
        return cosine(base_lr, self.eta_min, count / self.T_max)


class OneCycleLR(Schedule):
    """From max_lr / div_factor up to max_lr for pct_start of total_steps, then down to the start / final_div_factor.

    max_lr           for all groups of parameters, or a list of one for each
    anneal_strategy  "cos" or "linear": the form of both ways
    cycle_momentum   momentum (Adam's first beta) goes the other way: from max_momentum to base_momentum and back
    Smith and Topin, "Super-convergence", 2018 (arXiv:1708.07120); in PyTorch's form, of two phases.
    """

    def __init__(self, optimizer, max_lr, total_steps, *, pct_start=0.3, anneal_strategy="cos", cycle_momentum=True,
                 base_momentum=0.85, max_momentum=0.95, div_factor=25.0, final_div_factor=1e4):
        check_steps("OneCycleLR", total_steps=total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start={pct_start} is not between 0 and 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy={anneal_strategy!r} is neither 'cos' nor 'linear'")
        if cycle_momentum and not (getattr(optimizer, "momentum", 0) or hasattr(optimizer, "betas")):
            raise ValueError("OneCycleLR: the optimizer has no momentum; give it some, or cycle_momentum=False")
        self.total_steps, self.turn = total_steps, float(pct_start * total_steps) - 1
        self.between = cosine if anneal_strategy == "cos" else straight
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        self.momenta = (max_momentum, base_momentum, max_momentum) if cycle_momentum else None
        super().__init__(optimizer, per_group("OneCycleLR", optimizer, max_lr=max_lr))

    def along(self, values, count):
        """From the first of three values to the second, where the way turns, and on to the third."""
        start, peak, end = values
        if count <= self.turn:
            return self.between(start, peak, count / self.turn if self.turn else 1.0)
        return self.between(peak, end, min(1.0, (count - self.turn) / (self.total_steps - 1 - self.turn)))

    def lr_at(self, base_lr, count):
        if count > self.total_steps:
            raise ValueError(f"OneCycleLR: step {count} comes after the last of total_steps={self.total_steps}")
        initial = base_lr / self.div_factor
        return self.along((initial, base_lr, initial / self.final_div_factor), count)

    def apply(self):
        super().apply()
        if self.momenta is not None:
            momentum = self.along(self.momenta, self.count)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum


class LinearWarmup(Schedule):
    """lr = base_lr * (start_factor + (1 - start_factor) * count / total_iters) until count = total_iters.

    after  a schedule of the same optimizer, made before this one: it starts to count when the warm-up is over
    Goyal et al., "Accurate, large minibatch SGD", 2017 (arXiv:1706.02677), section 2.2.
    """

    def __init__(self, optimizer, total_iters=5, start_factor=1 / 3, after=None):
        check_steps("LinearWarmup", total_iters=total_iters)
        if not 0 <= start_factor <= 1:
            raise ValueError(f"LinearWarmup: start_factor={start_factor} is not between 0 and 1")
        if after is not None and after.optimizer is not optimizer:
            raise ValueError("LinearWarmup: the schedule `after` belongs to another optimizer")
        self.total_iters, self.start_factor, self.after = total_iters, start_factor, after
        super().__init__(optimizer)

    def lr_at(self, base_lr, count):
        return straight(base_lr * self.start_factor, base_lr, min(1.0, count / self.total_iters))

    def step(self, *metrics):
        """Count one step; once the warm-up is over, make it a step of the schedule `after`."""
        if self.count >= self.total_iters and self.after is not None:
            self.after.step(*metrics)
        else:
            super().step()

    def state_dict(self):
        return {**super().state_dict(), "after": self.after and self.after.state_dict()}

    def load_state_dict(self, state):
        if self.after is not None:
            self.after.load_state_dict(state["after"])
        self.count, self.base_lrs = state["count"], state["base_lrs"]
        if self.count < self.total_iters or self.after is None:
            self.apply()


class ReduceLROnPlateau:
    """lr <- max(lr * factor, min_lr) when a metric has not become better for more than `patience` steps.

    mode        "min": smaller is better; "max": larger
    threshold   how much better counts: with threshold_mode "rel" a part of the best, with "abs" a difference
    cooldown    steps after a reduction in which nothing is counted
    min_lr      for all groups of parameters, or a list of one for each
    eps         a reduction by no more than this is left out
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0.0, eps=1e-8):
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode={mode!r} is neither 'min' nor 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode={threshold_mode!r} is neither 'rel' nor 'abs'")
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor={factor} must be at least 0 and less than 1")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lrs, self.eps = per_group("ReduceLROnPlateau", optimizer, min_lr=min_lr), eps
        self.best, self.bad, self.resting = None, 0, 0

    def step(self, metrics):
        """Take in the metric of one epoch, and reduce the learning rate if it is time."""
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

    def better(self, metrics):
        """Whether a metric beats the best so far by the threshold."""
        if self.best is None:
            return math.isfinite(metrics)
        margin = self.threshold * (self.best if self.threshold_mode == "rel" else 1)
        return metrics < self.best - margin if self.mode == "min" else metrics > self.best + margin

    def state_dict(self):
        """Where the schedule stands, for JSON; the learning rate is saved with the optimizer."""
        return {"best": self.best, "bad": self.bad, "resting": self.resting}

    def load_state_dict(self, state):
        """Go on from a `state_dict`."""
        self.best, self.bad, self.resting = state["best"], state["bad"], state["resting"]


def straight(start, end, part):
    """`part` of the way from start to end, at an even pace."""
    return start + (end - start) * part


def cosine(start, end, part):
    """`part` of the way from start to end, slow at both ends, as half a turn of a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def per_group(schedule, optimizer, **setting):
    """A setting that is one number or a list of them as a list with one for each group of parameters."""
    [(name, value)] = setting.items()
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * groups
    if len(values) != groups:
        raise ValueError(f"{schedule}: {name}={value!r} must be one number or {groups}, one for each group")
    return values


def check_steps(schedule, **settings):
    """Raise ValueError unless every setting is a whole number of at least 1."""
    for name, value in settings.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{schedule}: {name}={value!r} must be a whole number of at least 1")
