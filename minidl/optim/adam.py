"""Adam: the step of each weight is scaled by running means of its gradient and of the gradient's square."""

from typing import Any

from minidl.optim.optimizer import Batch, Optimizer, Parameters, Setting, check_not_negative, gpu_ready
from minidl.scalars import number


class Adam(Optimizer):
    """m <- b1 * m + (1 - b1) * g,  v <- b2 * v + (1 - b2) * g**2,  x <- x - lr * mhat / (sqrt(vhat) + eps),

    where g = gradient + weight_decay * x, and mhat = m / (1 - b1**t), vhat = v / (1 - b2**t) at step t correct the bias
    of m and v, which start at 0.
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    settings: tuple[str, ...] = ("lr", "betas", "eps", "weight_decay")
    betas, eps, weight_decay = Setting(), Setting(), Setting()
    decoupled = False                           # whether weight decay is separate from the gradient

    def __init__(self, parameters: Parameters, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0):
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, name: str, lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
        if not isinstance(betas, tuple | list) or len(betas) != 2 or not all(
                number(name, "betas", beta, 0) < 1 for beta in betas):
            raise ValueError(f"{name}: betas={betas!r} must be two numbers, each at least 0 and less than 1")
        check_not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay)

    def slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return "mean", "square"

    @gpu_ready
    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        lr, eps, weight_decay = batch.numbers("lr", "eps", "weight_decay")
        kernels.adam(batch.xs, grads, batch.slot("mean"), batch.slot("square"), self.steps_of(batch), lr,
                     tuple(map(float, batch.group["betas"])), eps, weight_decay, self.decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay:  x <- (1 - lr * weight_decay) * x  before each step.

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    decoupled = True

    def __init__(self, parameters: Parameters, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2):
        super().__init__(parameters, lr, betas, eps, weight_decay)
