"""Exercises of chapter 6: initial weights that are measured, an optimizer, and a schedule."""


def scale_to_unit(layers, x):
    """Scale the weight of each layer so that its output has the standard deviation 1 for the batch x.

    layers  modules with a parameter `weight`, which are called one after the other; a ReLU may be part of a layer
    x       a Tensor, the input of the first layer

    Change `layer.weight.data` in place. A layer sees what the layers before it put out after they were scaled. Where
    the output is not proportional to the weight, because there is a bias or an activation such as tanh, one division
    does not suffice: repeat it until the deviation is within 1 % of 1, at most 50 times. Record nothing on the tape.
    """
    raise NotImplementedError("exercise 6.1: divide each weight by the deviation of its layer's output")


class Lion:
    """For each parameter with gradient g and running mean m, which begins at 0, a step does in this order:

        direction = sign(beta1 * m + (1 - beta1) * g)
        x <- x - lr * (direction + weight_decay * x)
        m <- beta2 * m + (1 - beta2) * g
    """

    def __init__(self, parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        raise NotImplementedError("exercise 6.2: keep the parameters, the settings, and a mean for each parameter")

    def zero_grad(self):
        """Set the gradient of each parameter to None."""
        raise NotImplementedError("exercise 6.2: zero_grad")

    def step(self):
        """Update each parameter's `data`, in place. Parameters whose gradient is None stay as they are."""
        raise NotImplementedError("exercise 6.2: step")


def trapezoid(step, warmup, cooldown, total):
    """The factor by which the learning rate is multiplied at a step 0, 1, ..., total - 1.

    It rises in equal parts from 1 / warmup at step 0 to 1 at step warmup - 1, stays 1, and falls in equal parts over
    the last `cooldown` steps, to 1 / cooldown at step total - 1. With no warm-up, or no cool-down, that part is 1.
    """
    raise NotImplementedError("exercise 6.3: a line up, a constant, a line down")
