"""What kind of training is expected: optimizers say so, and a backend that compiles its kernels may prepare for it."""

from typing import NamedTuple

import numpy as np


class Training(NamedTuple):
    """An optimizer, by the lower-case name of its class, and the shapes of its parameters."""

    optimizer: str
    shapes: list


expected = []                    # the latest Training, if any


def expect_training(optimizer, parameters):
    """Note that an optimizer of float32 arrays was made, so training steps are likely to follow."""
    if {x.dtype for x in parameters} == {np.dtype(np.float32)}:
        expected[:] = [Training(optimizer.lower(), [list(x.shape) for x in parameters])]
