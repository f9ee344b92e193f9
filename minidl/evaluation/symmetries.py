"""Test-time augmentation of images without an upright position: the eight symmetries of a square."""

import minidl.functional as F
from minidl.nn import Module
from minidl.tensor import Tensor


class Symmetric(Module):
    """The mean of a model's logits of an image, mirrored and turned by 0, 90, 180 and 270 degrees; masks turned back.

    (N, C, H, W) -> (N, classes) or (N, classes, H, W). It suits images from above or from a microscope.
    """

    def __init__(self, model: Module) -> None:
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        total = None
        for number in range(8):
            logits = self.model(changed(x, number))
            logits = changed_back(logits, number) if logits.ndim == 4 else logits
            total = logits if total is None else total + logits
        return total * 0.125


def changed(x: Tensor, number: int) -> Tensor:
    """Images (N, C, H, W) after the symmetry with a number from 0 to 7."""
    x = x[..., ::-1] if number & 1 else x
    x = x[..., ::-1, :] if number & 2 else x
    return F.transpose(x, 2, 3) if number & 4 else x


def changed_back(x: Tensor, number: int) -> Tensor:
    """The inverse of `changed`."""
    x = F.transpose(x, 2, 3) if number & 4 else x
    x = x[..., ::-1, :] if number & 2 else x
    return x[..., ::-1] if number & 1 else x
