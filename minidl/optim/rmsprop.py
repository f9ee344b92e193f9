"""RMSprop: each weight has a step length of its own, from the mean square of its gradients."""

from minidl.optim.optimizer import Optimizer, Setting, check_not_negative


class RMSprop(Optimizer):
    """s <- alpha * s + (1 - alpha) * g**2,  v <- momentum * v + g / (sqrt(s) + eps),  x <- x - lr * v,

    where g = gradient + weight_decay * x.
    centered  divide by sqrt(s - m**2) + eps, an estimate of the deviation, where m <- alpha * m + (1 - alpha) * g
    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; centered: Graves, "Generating sequences with recurrent
    neural networks", 2013 (arXiv:1308.0850), eqs. 38 to 41. As in PyTorch, eps stands outside the root.
    """

    settings = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")
    alpha, eps, weight_decay, momentum, centered = Setting(), Setting(), Setting(), Setting(), Setting()

    def __init__(self, parameters, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
        super().__init__(parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                         centered=centered)

    def check(self, name, lr, alpha, eps, weight_decay, momentum, centered):
        check_not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay, momentum=momentum)
        if not 0 <= alpha < 1:
            raise ValueError(f"{name}: alpha={alpha!r} must be a number from 0 up to, but not, 1")

    def slots(self, group):
        """A speed if there is momentum, and the mean of gradients if they are to be centered."""
        return ("square", *(["velocity"] if group["momentum"] else []), *(["mean"] if group["centered"] else []))

    def update(self, kernels, batch, grads):
        lr, alpha, eps, weight_decay, momentum = batch.numbers("lr", "alpha", "eps", "weight_decay", "momentum")
        velocities = batch.slot("velocity") if momentum else None
        means = batch.slot("mean") if batch.group["centered"] else None
        squares = batch.slot("square")
        kernels.rmsprop(batch.xs, grads, squares, velocities, means, lr, alpha, eps, weight_decay, momentum)
