"""Stochastic gradient descent, with momentum."""

from typing import Any

from minidl.optim.optimizer import Batch, Optimizer, Parameters, Setting, check_not_negative, gpu_ready
from minidl.scalars import flag


class SGD(Optimizer):
    """v <- momentum * v + g,  x <- x - lr * v,  where g = gradient + weight_decay * x.

    nesterov  x <- x - lr * (g + momentum * v) instead: the gradient as if the velocity had already been applied
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013; as in PyTorch, the
    learning rate is not part of the velocity.
    """

    settings = ("lr", "momentum", "weight_decay", "nesterov")
    momentum, weight_decay, nesterov = Setting(), Setting(), Setting()

    def __init__(self, parameters: Parameters, lr: float = 1e-3, momentum: float = 0.0, *, weight_decay: float = 0.0,
                 nesterov: bool = False):
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def check(self, name: str, lr: float, momentum: float, weight_decay: float, nesterov: bool) -> None:
        check_not_negative(name, lr=lr, momentum=momentum, weight_decay=weight_decay)
        if flag(name, "nesterov", nesterov) and momentum == 0:
            raise ValueError(f"{name}: nesterov=True needs a momentum larger than 0")

    def slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """A velocity, if there is momentum."""
        return ("velocity",) if group["momentum"] else ()

    @gpu_ready
    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        lr, momentum, weight_decay = batch.numbers("lr", "momentum", "weight_decay")
        velocities = batch.slot("velocity") if momentum else None
        kernels.sgd(batch.xs, grads, velocities, lr, momentum, weight_decay, bool(batch.group["nesterov"]))
