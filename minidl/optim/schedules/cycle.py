"""Learning rates that rise and fall, once or again and again, while momentum does the opposite.

Read `plateau.py` next.
"""

from collections.abc import Callable

from minidl.optim.optimizer import Optimizer
from minidl.optim.schedules.schedule import Schedule, check_optimizer, cosine, linear, per_group
from minidl.scalars import flag, number, whole


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
        check_momentum("OneCycleLR", optimizer, cycle_momentum)
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
            set_momentum(self.optimizer, self.cycle(self.momenta, self.count))


class CyclicLR(Schedule):
    """From base_lr up to max_lr in step_size_up steps, down again in step_size_down, and so on.

    base_lr, max_lr  the bounds: one for all groups of parameters, or a list with one for each
    step_size_down   equals step_size_up by default
    mode             the height of the n-th cycle, from n = 1: "triangular" the whole one, "triangular2" the whole one
                     / 2 ** (n - 1); and "exp_range" the whole one * gamma ** count, at each step
    scale_fn         a height of one's own in place of `mode`: a function of the number of the cycle, or of the step, as
                     scale_mode, "cycle" or "iterations", says
    cycle_momentum   momentum (Adam's first beta) moves inversely: from max_momentum to base_momentum and back
    Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.
    """

    def __init__(self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float],
                 step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular",
                 gamma: float = 1.0, scale_fn: Callable[[int], float] | None = None, scale_mode: str = "cycle",
                 cycle_momentum: bool = True, base_momentum: float = 0.8, max_momentum: float = 0.9):
        name = "CyclicLR"
        check_optimizer(name, optimizer)
        check_momentum(name, optimizer, cycle_momentum)
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"{name}: mode={mode!r} must be 'triangular', 'triangular2' or 'exp_range'")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"{name}: scale_mode={scale_mode!r} must be 'cycle' or 'iterations'")
        if scale_fn is not None and not callable(scale_fn):
            raise ValueError(f"{name}: scale_fn={scale_fn!r} must be a function")
        self.up = whole(name, "step_size_up", step_size_up)
        self.down = self.up if step_size_down is None else whole(name, "step_size_down", step_size_down)
        self.mode, self.gamma = mode, number(name, "gamma", gamma, 0)
        self.scale_fn, self.scale_mode = scale_fn, scale_mode
        self.max_lrs = per_group(name, optimizer, max_lr=max_lr)
        base, most = (number(name, "base_momentum", base_momentum, 0, 1),
                      number(name, "max_momentum", max_momentum, 0, 1))
        self.momenta = (most, base) if cycle_momentum else None
        super().__init__(optimizer, per_group(name, optimizer, base_lr=base_lr))

    def height(self) -> float:
        """How far the learning rate is on the way from base_lr to max_lr, from 0 to 1."""
        cycles, place = divmod(self.count, self.up + self.down)
        part = place / self.up if place <= self.up else (self.up + self.down - place) / self.down
        return part * self.scale(cycles + 1)

    def scale(self, cycle: int) -> float:
        """The height of the cycle with this number, from 1."""
        if self.scale_fn is not None:
            argument = cycle if self.scale_mode == "cycle" else self.count
            return number("CyclicLR", "scale_fn", self.scale_fn(argument))
        if self.mode == "exp_range":
            return self.gamma ** self.count
        return 1.0 if self.mode == "triangular" else 0.5 ** (cycle - 1)

    def lrs(self) -> list[float]:
        height = self.height()
        return [linear(low, high, height) for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def apply(self) -> None:
        super().apply()
        if self.momenta is not None:
            set_momentum(self.optimizer, linear(*self.momenta, self.height()))


def check_momentum(schedule: str, optimizer: Optimizer, cycle_momentum: bool) -> None:
    """Raise ValueError if momentum is to move, and the optimizer has none."""
    has_momentum = getattr(optimizer, "momentum", 0) or hasattr(optimizer, "betas")
    if flag(schedule, "cycle_momentum", cycle_momentum) and not has_momentum:
        raise ValueError(f"{schedule}: the optimizer has no momentum; set it, or pass cycle_momentum=False")


def set_momentum(optimizer: Optimizer, momentum: float) -> None:
    """Set the momentum, or Adam's first beta, of every group."""
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum
