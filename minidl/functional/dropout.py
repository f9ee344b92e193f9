"""Dropout: in training, chance leaves parts of a layer's output out, so that no unit relies on another."""

from minidl.device import array_module, generator
from minidl.functional.pooling import check_images
from minidl.tensor import op


@op
def dropout(x, /, p=0.5, training=True):
    """In training each element becomes 0 with probability p, else x / (1 - p); otherwise x itself.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    """
    return dropped("dropout", x, x.shape, p, training)


@op
def dropout2d(x, /, p=0.5, training=True):
    """In training each channel of each image becomes 0 with probability p, else x / (1 - p); otherwise x itself.

    x (N, C, H, W)  ->  (N, C, H, W). Neighbouring pixels tell each other's values, so dropping single ones leaves out
    little. Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    """
    check_images("dropout2d", x)
    return dropped("dropout2d", x, (*x.shape[:2], 1, 1), p, training)


def dropped(name, x, parts, p, training):
    """x with parts of it dropped, and its backward: one draw for each element of the shape `parts`."""
    if not 0 <= p < 1:
        raise ValueError(f"{name}: p={p} is not a probability from 0 up to, but not, 1")
    if not training or p == 0:
        return x, lambda grad: grad
    xp = array_module(x)
    kept = generator(xp).random(parts, dtype=xp.float32) >= p
    scale = 1 / (1 - float(p))

    def backward(grad):
        return grad * kept * scale
    return x * kept * scale, backward
