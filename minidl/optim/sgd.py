"""Stochastic gradient descent: downhill, with the speed of the steps before."""

from minidl.optim.optimizer import Optimizer, check_not_negative


class SGD(Optimizer):
    """v <- momentum * v + g,  x <- x - lr * v,  where g = gradient + weight_decay * x.

    nesterov  x <- x - lr * (g + momentum * v) instead: the gradient as if the speed had already been applied
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013; the learning
    rate stands outside the speed, as in PyTorch.
    """

    settings = ("lr", "momentum", "weight_decay", "nesterov")

    def __init__(self, parameters, lr=1e-3, momentum=0.0, *, weight_decay=0.0, nesterov=False):
        super().__init__(parameters, lr)
        check_not_negative("SGD", momentum=momentum, weight_decay=weight_decay)
        if nesterov and momentum == 0:
            raise ValueError("SGD: nesterov=True needs a momentum larger than 0")
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov

    @property
    def slots(self):
        """There is a speed to remember only if there is momentum."""
        return ("velocity",) if self.momentum else ()

    def update(self, x, grad, state):
        lr, momentum = float(self.lr), float(self.momentum)
        if self.weight_decay:
            grad = grad + x * float(self.weight_decay)
        if not momentum:
            x -= grad * lr
            return
        velocity = state["velocity"]
        velocity *= momentum
        velocity += grad
        if self.nesterov:
            step = velocity * momentum
            step += grad
            step *= lr
        else:
            step = velocity * lr
        x -= step
