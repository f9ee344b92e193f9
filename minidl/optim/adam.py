"""Adam: each weight has a step length of its own, from the mean and the mean square of its gradients."""

import math

from minidl.device import array_module
from minidl.optim.optimizer import Optimizer, check_not_negative


class Adam(Optimizer):
    """m <- b1 * m + (1 - b1) * g,  v <- b2 * v + (1 - b2) * g**2,  x <- x - lr * mhat / (sqrt(vhat) + eps),

    where g = gradient + weight_decay * x, and mhat = m / (1 - b1**t), vhat = v / (1 - b2**t) at step t make up for
    m and v having begun at 0.
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    slots = ("mean", "square")
    settings = ("lr", "betas", "eps", "weight_decay")

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr)
        name = type(self).__name__
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{name}: betas={betas!r} must be two numbers from 0 up to, but not, 1")
        check_not_negative(name, eps=eps, weight_decay=weight_decay)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def update(self, x, grad, state):
        if self.weight_decay:
            grad = grad + x * float(self.weight_decay)
        self.adapt(x, grad, state)

    def adapt(self, x, grad, state):
        """The step without weight decay, in one temporary array besides the state."""
        xp, (beta1, beta2), t = array_module(x), map(float, self.betas), state["steps"]
        mean, square = state["mean"], state["square"]
        scratch = xp.empty_like(mean)
        mean *= beta1
        xp.multiply(grad, 1 - beta1, out=scratch)
        mean += scratch
        square *= beta2
        xp.multiply(grad, grad, out=scratch)
        scratch *= 1 - beta2
        square += scratch
        xp.sqrt(square, out=scratch)
        scratch *= 1 / math.sqrt(1 - beta2**t)
        scratch += float(self.eps)
        xp.divide(mean, scratch, out=scratch)
        scratch *= float(self.lr) / (1 - beta1**t)
        x -= scratch


class AdamW(Adam):
    """Adam that shrinks the weights apart from the gradient:  x <- (1 - lr * weight_decay) * x  before each step.

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, x, grad, state):
        x *= 1 - float(self.lr) * float(self.weight_decay)
        self.adapt(x, grad, state)
