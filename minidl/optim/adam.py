"""Adam: each weight has a step length of its own, from the mean and the mean square of its gradients."""

from minidl.optim.optimizer import Optimizer, Setting, check_not_negative


class Adam(Optimizer):
    """m <- b1 * m + (1 - b1) * g,  v <- b2 * v + (1 - b2) * g**2,  x <- x - lr * mhat / (sqrt(vhat) + eps),

    where g = gradient + weight_decay * x, and mhat = m / (1 - b1**t), vhat = v / (1 - b2**t) at step t make up for
    m and v having begun at 0.
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    settings = ("lr", "betas", "eps", "weight_decay")
    betas, eps, weight_decay = Setting(), Setting(), Setting()
    decoupled = False                           # whether weight decay stands outside the gradient

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, name, lr, betas, eps, weight_decay):
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{name}: betas={betas!r} must be two numbers from 0 up to, but not, 1")
        check_not_negative(name, lr=lr, eps=eps, weight_decay=weight_decay)

    def slots(self, group):
        return "mean", "square"

    def update(self, kernels, batch, grads):
        lr, eps, weight_decay = batch.numbers("lr", "eps", "weight_decay")
        kernels.adam(batch.xs, grads, batch.slot("mean"), batch.slot("square"), batch.states[0]["steps"], lr,
                     tuple(map(float, batch.group["betas"])), eps, weight_decay, self.decoupled)


class AdamW(Adam):
    """Adam that shrinks the weights apart from the gradient:  x <- (1 - lr * weight_decay) * x  before each step.

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    decoupled = True

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(parameters, lr, betas, eps, weight_decay)
