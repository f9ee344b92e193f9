"""Dropout: randomly zeroing parts of a layer's output in training, so that no unit relies on another.

PyTorch's setting `inplace` is accepted, and changes nothing: see `activation.py`.
"""

from typing import Any

from minidl.capture import SEED, varying
from minidl.device import draw_seed
from minidl.functional.checks import check_images, fraction
from minidl.functional.promotion import floating
from minidl.kernels import backend
from minidl.tensor import Operand, op


@op
def dropout(x: Operand, /, p: float = 0.5, training: bool = True, inplace: bool = False):
    """In training, each element becomes 0 with probability p, otherwise x / (1 - p); in eval mode, x itself.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    """
    return dropped("dropout", x, x.shape, p, training)


@op
def dropout2d(x: Operand, /, p: float = 0.5, training: bool = True, inplace: bool = False):
    """In training, each channel of each image becomes 0 with probability p, otherwise x / (1 - p); in eval mode, x.

    x (N, C, H, W)  ->  (N, C, H, W). Neighbouring pixels are correlated, so dropping single pixels removes little
    information. Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    """
    check_images("dropout2d", x)
    return dropped("dropout2d", x, (*x.shape[:2], 1, 1), p, training)


def dropped(name: str, x: Any, mask_shape: tuple[int, ...], p: float, training: bool) -> Any:
    """x after dropout, and its backward. The random mask has `mask_shape` and is broadcast against x."""
    x, p = floating(x), fraction(name, "p", p)
    if not training or p == 0:
        return x, lambda grad: grad
    kernels, scale = backend(x), 1 / (1 - p) if p < 1 else 0.0
    out, kept = kernels.dropout(x, mask_shape, varying(draw_seed, SEED), p, scale)

    def backward(grad):
        return kernels.select(kept, grad, scale)
    return out, backward
