"""Adagrad: the step of each weight is divided by the root of the sum of all its squared gradients."""

from typing import Any

from minidl.optim.optimizer import Batch, Optimizer, Parameters, Setting, check_not_negative


class Adagrad(Optimizer):
    """s <- s + g**2,  x <- x - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(initial + s) + eps)  at step t,

    where g = gradient + weight_decay * x, and initial = initial_accumulator_value.
    Duchi et al., "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 12 (2011).
    """

    settings = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
    lr_decay, weight_decay, initial_accumulator_value, eps = Setting(), Setting(), Setting(), Setting()

    def __init__(self, parameters: Parameters, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
                 initial_accumulator_value: float = 0.0, eps: float = 1e-10):
        super().__init__(parameters, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
                         initial_accumulator_value=initial_accumulator_value, eps=eps)

    def check(self, name: str, *values: Any, **settings: Any) -> None:
        check_not_negative(name, **settings)

    def slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square",)

    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        lr, lr_decay, weight_decay, initial, eps = batch.numbers(*self.settings)
        lr /= 1 + (batch.states[0]["steps"] - 1) * lr_decay
        kernels.adagrad(batch.xs, grads, batch.slot("square"), lr, eps, weight_decay, initial)
