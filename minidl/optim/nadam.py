"""NAdam: Adam with Nesterov's momentum."""

from typing import Any

from minidl.optim.adam import Adam
from minidl.optim.optimizer import Batch, Parameters, Setting, check_not_negative
from minidl.scalars import flag


class NAdam(Adam):
    """x <- x - lr * ((1 - u(t)) / (1 - U(t)) * g + u(t+1) / (1 - U(t+1)) * m) / (sqrt(vhat) + eps)  at step t,

    where g, m and vhat are Adam's, u(t) = b1 * (1 - 0.96**(t * momentum_decay) / 2), and U(t) = u(1) * ... * u(t).
    decoupled_weight_decay  x <- (1 - lr * weight_decay) * x before each step, as in AdamW, and g is the gradient
    Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop.
    """

    settings = (*Adam.settings, "momentum_decay", "decoupled_weight_decay")
    momentum_decay, decoupled_weight_decay = Setting(), Setting()

    def __init__(self, parameters: Parameters, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0, momentum_decay: float = 4e-3,
                 decoupled_weight_decay: bool = False):
        self.products: dict[tuple[float, float], tuple[int, float]] = {}     # {(b1, momentum_decay): (t, U(t))}
        super(Adam, self).__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                                   momentum_decay=momentum_decay, decoupled_weight_decay=decoupled_weight_decay)

    def check(self, name: str, momentum_decay: float, decoupled_weight_decay: bool,  # type: ignore[override]
              **settings: Any) -> None:
        super().check(name, **settings)
        check_not_negative(name, momentum_decay=momentum_decay)
        flag(name, "decoupled_weight_decay", decoupled_weight_decay)

    def update(self, kernels: Any, batch: Batch, grads: list[Any]) -> None:
        lr, eps, weight_decay, momentum_decay = batch.numbers("lr", "eps", "weight_decay", "momentum_decay")
        beta1, beta2 = map(float, batch.group["betas"])
        steps = batch.states[0]["steps"]
        product = self.product(beta1, momentum_decay, steps)
        now, following = momentum(beta1, momentum_decay, steps), momentum(beta1, momentum_decay, steps + 1)
        kernels.nadam(batch.xs, grads, batch.slot("mean"), batch.slot("square"), steps, lr * (1 - now) / (1 - product),
                      lr * following / (1 - product * following), (beta1, beta2), eps, weight_decay,
                      lr * weight_decay if batch.group["decoupled_weight_decay"] else None)

    def product(self, beta1: float, momentum_decay: float, steps: int) -> float:
        """U(steps), continued from the step before."""
        key = beta1, momentum_decay
        known, product = self.products.get(key, (0, 1.0))
        if known > steps:                        # another batch, with fewer steps
            known, product = 0, 1.0
        while known < steps and product:
            known += 1
            product *= momentum(beta1, momentum_decay, known)
        self.products[key] = steps, product
        return product


def momentum(beta1: float, momentum_decay: float, t: int) -> float:
    """u(t)"""
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
