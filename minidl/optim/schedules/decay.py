"""Learning rates that only fall: in steps, exponentially, or by a power of what is left of the run.

Read `cosine.py` next.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from minidl.optim.optimizer import Optimizer
from minidl.optim.schedules.schedule import Schedule, check_optimizer
from minidl.scalars import number, plain, whole


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


class ExponentialLR(Schedule):
    """lr = base_lr * gamma ** count"""

    def __init__(self, optimizer: Optimizer, gamma: float):
        self.gamma = number("ExponentialLR", "gamma", gamma, 0)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return base_lr * self.gamma ** count


class PolynomialLR(Schedule):
    """lr = base_lr * (1 - count / total_iters) ** power until count = total_iters, then 0.

    Chen et al., "DeepLab", TPAMI 2018, section 4.1, whose power is 0.9.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0):
        self.total_iters = whole("PolynomialLR", "total_iters", total_iters)
        self.power = number("PolynomialLR", "power", power, 0)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        return base_lr * (1 - min(count, self.total_iters) / self.total_iters) ** self.power


class LambdaLR(Schedule):
    """lr = base_lr * lr_lambda(count), for a function of the user's, or a list with one for each group.

    A `state_dict` does not hold the functions.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]):
        check_optimizer("LambdaLR", optimizer)
        groups = len(optimizer.param_groups)
        functions: Any = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * groups
        if len(functions) != groups or not all(map(callable, functions)):
            raise ValueError(f"LambdaLR: lr_lambda={lr_lambda!r} must be one function of the number of steps, or "
                             f"{groups}, one for each group")
        self.lr_lambdas: list[Callable[[int], float]] = functions
        super().__init__(optimizer)

    def lrs(self) -> list[float]:
        return [base_lr * number("LambdaLR", f"lr_lambda({self.count})", function(self.count), 0)
                for base_lr, function in zip(self.base_lrs, self.lr_lambdas, strict=True)]
