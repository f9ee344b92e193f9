"""Learning rates that fall by half a period of a cosine, once or again and again. Read `cycle.py` next."""

from minidl.optim.optimizer import Optimizer
from minidl.optim.schedules.schedule import Schedule, cosine
from minidl.scalars import number, whole


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


class CosineAnnealingWarmRestarts(Schedule):
    """lr = eta_min + (base_lr - eta_min) * (1 + cos(pi * t / T)) / 2, where t counts the steps of a period of T steps.

    T_0     the length of the first period; each begins with base_lr
    T_mult  each period is this many times as long as the one before
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0):
        name = "CosineAnnealingWarmRestarts"
        self.T_0, self.T_mult = whole(name, "T_0", T_0), whole(name, "T_mult", T_mult)
        self.eta_min = number(name, "eta_min", eta_min)
        super().__init__(optimizer)

    def lr_at(self, base_lr: float, count: int) -> float:
        period, passed = self.T_0, count
        if self.T_mult == 1:
            passed %= period
        while passed >= period:
            passed, period = passed - period, period * self.T_mult
        return cosine(base_lr, self.eta_min, passed / period)
