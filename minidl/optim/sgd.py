"""Stochastic gradient descent, with momentum."""

from typing import Any, ClassVar

from minidl.optim.optimizer import Batch, Optimizer, Parameters, Setting, check_not_negative, gpu_ready
from minidl.scalars import flag, number


class SGD(Optimizer):
    """v <- momentum * v + (1 - dampening) * g,  x <- x - lr * v,  where g = gradient + weight_decay * x.

    dampening  does not count at the first step of a parameter, when v = g, as in PyTorch
    nesterov   x <- x - lr * (g + momentum * v) instead: the gradient as if the velocity had already been applied
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013; as in PyTorch, the
    learning rate is not part of the velocity.
    """

    settings = ("lr", "momentum", "dampening", "weight_decay", "nesterov")
    later: ClassVar = {"dampening": 0.0}
    momentum, dampening, weight_decay, nesterov = Setting(), Setting(), Setting(), Setting()

    def __init__(self, parameters: Parameters, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
                 weight_decay: float = 0.0, nesterov: bool = False):
        super().__init__(parameters, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                         nesterov=nesterov)

    def check(self, name: str, lr: float, momentum: float, dampening: float, weight_decay: float,
              nesterov: bool) -> None:
        check_not_negative(name, lr=lr, momentum=momentum, weight_decay=weight_decay)
        number(name, "dampening", dampening, 0, 1)
        if flag(name, "nesterov", nesterov) and (momentum == 0 or dampening != 0):
            raise ValueError(f"{name}: nesterov=True needs a momentum larger than 0, and no dampening")

    def slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """A velocity, if there is momentum."""
        return ("velocity",) if group["momentum"] else ()

    @gpu_ready
    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        lr, momentum, dampening, weight_decay = batch.numbers("lr", "momentum", "dampening", "weight_decay")
        velocities = batch.slot("velocity") if momentum else None
        if momentum and dampening and batch.states[0]["steps"] > 1:      # both terms of g, so that the kernel need not
            grads, weight_decay = [grad * (1 - dampening) for grad in grads], weight_decay * (1 - dampening)
        kernels.sgd(batch.xs, grads, velocities, lr, momentum, weight_decay, bool(batch.group["nesterov"]))
