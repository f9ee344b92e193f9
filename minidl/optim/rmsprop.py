"""RMSprop: the step of each weight is scaled by a running mean of its squared gradient."""

from typing import Any

from minidl.optim.optimizer import Batch, Optimizer, Parameters, Setting, check_not_negative, gpu_ready
from minidl.scalars import flag, number


class RMSprop(Optimizer):
    """s <- alpha * s + (1 - alpha) * g**2,  v <- momentum * v + g / (sqrt(s) + eps),  x <- x - lr * v,

    where g = gradient + weight_decay * x.
    centered  divide by sqrt(s - m**2) + eps instead, where m <- alpha * m + (1 - alpha) * g
    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; centered: Graves, "Generating sequences with recurrent
    neural networks", 2013 (arXiv:1308.0850), eqs. 38 to 41. As in PyTorch, eps is outside the root.
    """

    settings = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")
    alpha, eps, weight_decay, momentum, centered = Setting(), Setting(), Setting(), Setting(), Setting()

    def __init__(self, parameters: Parameters, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False):
        super().__init__(parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                         centered=centered)

    def check(self, name: str, lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
              centered: bool) -> None:
        check_not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay, momentum=momentum)
        if number(name, "alpha", alpha, 0) >= 1:
            raise ValueError(f"{name}: alpha={alpha!r} must be at least 0 and less than 1")
        flag(name, "centered", centered)

    def slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The mean square; a velocity, if there is momentum; and the mean, if gradients are centered."""
        return ("square", *(["velocity"] if group["momentum"] else []), *(["mean"] if group["centered"] else []))

    @gpu_ready
    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        lr, alpha, eps, weight_decay, momentum = batch.numbers("lr", "alpha", "eps", "weight_decay", "momentum")
        velocities = batch.slot("velocity") if momentum else None
        means = batch.slot("mean") if batch.group["centered"] else None
        squares = batch.slot("square")
        kernels.rmsprop(batch.xs, grads, squares, velocities, means, lr, alpha, eps, weight_decay, momentum)
