"""How to write an operation: swish, x * sigmoid(x), with a gradient check.

An operation is a function of arrays. It returns its output and `backward`, which maps the gradient of the output to the
gradient of the input; the decorator `op` does the rest. Run:

    python examples/new_op.py
"""

import numpy as np

from minidl import Tensor
from minidl.device import array_module
from minidl.tensor import op
from minidl.testing import check_gradients


@op
def swish(x, /):
    """x * sigmoid(x), elementwise (Ramachandran et al., "Searching for activation functions", 2017)."""
    gate = 0.5 * (1 + array_module(x).tanh(0.5 * x))     # sigmoid(x), in a form that cannot overflow

    def backward(grad):
        return grad * gate * (1 + x * (1 - gate))
    return x * gate, backward


@op
def wrong_swish(x, /):
    """The same with a mistake: backward ignores that the gate depends on x."""
    gate = 0.5 * (1 + array_module(x).tanh(0.5 * x))

    def backward(grad):
        return grad * gate
    return x * gate, backward


def main():
    x = np.random.default_rng(0).standard_normal((3, 4))
    check_gradients(swish, x)
    print("swish: backward agrees with finite differences")

    try:
        check_gradients(wrong_swish, x)
    except AssertionError as error:
        print(f"wrong_swish: {error}")

    x = Tensor([-2.0, 0.0, 2.0], requires_grad=True)
    y = swish(x)
    y.sum().backward()
    print(f"x         {x.numpy()}\nswish(x)  {y.numpy()}\ngradient  {x.grad}")


if __name__ == "__main__":
    main()
