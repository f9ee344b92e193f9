"""Stochastic gradient descent: downhill, with the speed of the steps before."""

from minidl.optim.optimizer import Optimizer, Setting, check_not_negative


class SGD(Optimizer):
    """v <- momentum * v + g,  x <- x - lr * v,  where g = gradient + weight_decay * x.

    nesterov  x <- x - lr * (g + momentum * v) instead: the gradient as if the speed had already been applied
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013; the learning
    rate stands outside the speed, as in PyTorch.
    """

    settings = ("lr", "momentum", "weight_decay", "nesterov")
    momentum, weight_decay, nesterov = Setting(), Setting(), Setting()

    def __init__(self, parameters, lr=1e-3, momentum=0.0, *, weight_decay=0.0, nesterov=False):
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def check(self, name, lr, momentum, weight_decay, nesterov):
        check_not_negative(name, lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and momentum == 0:
            raise ValueError(f"{name}: nesterov=True needs a momentum larger than 0")

    def slots(self, group):
        """There is a speed to remember only if there is momentum."""
        return ("velocity",) if group["momentum"] else ()

    def update(self, kernels, batch, grads):
        lr, momentum, weight_decay = batch.numbers("lr", "momentum", "weight_decay")
        velocities = batch.slot("velocity") if momentum else None
        kernels.sgd(batch.xs, grads, velocities, lr, momentum, weight_decay, bool(batch.group["nesterov"]))
