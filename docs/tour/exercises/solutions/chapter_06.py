"""Solutions of chapter 6."""

import numpy as np

import minidl


def scale_to_unit(layers, x):
    """Scale the weight of each layer so that its output has the standard deviation 1 for the batch x."""
    with minidl.no_grad():
        for layer in layers:
            for _ in range(50):
                deviation = layer(x).data.std()
                if abs(deviation - 1) < 0.01:
                    break
                layer.weight.data[...] /= deviation
            x = layer(x)


class Lion:
    """Steps of one size for each weight, in the direction of the sign of a running mean."""

    def __init__(self, parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        self.parameters = list(parameters)
        self.lr, self.betas, self.weight_decay = lr, betas, weight_decay
        self.means = [np.zeros_like(p.data) for p in self.parameters]

    def zero_grad(self):
        """Set the gradient of each parameter to None."""
        for p in self.parameters:
            p.grad = None

    def step(self):
        """Update each parameter that has a gradient."""
        beta1, beta2 = self.betas
        for p, mean in zip(self.parameters, self.means, strict=True):
            if p.grad is None:
                continue
            direction = np.sign(beta1 * mean + (1 - beta1) * p.grad)
            p.data[...] -= self.lr * (direction + self.weight_decay * p.data)
            mean *= beta2
            mean += (1 - beta2) * p.grad


def trapezoid(step, warmup, cooldown, total):
    """The smallest of the line up, the constant 1 and the line down."""
    up = (step + 1) / warmup if warmup else 1
    down = (total - step) / cooldown if cooldown else 1
    return min(up, 1, down)
