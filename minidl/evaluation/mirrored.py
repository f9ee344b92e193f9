"""Test-time augmentation: a model that is asked twice."""

import minidl.functional as F
from minidl.nn import Module
from minidl.tensor import Tensor


class Mirrored(Module):
    """The mean of a model's logits of an image and of its mirror image.   (N, C, H, W) -> (N, classes[, H, W])

    Masks are mirrored back. It suits photographs; letters and digits, which a mirror makes others, it does not suit.
    """

    def __init__(self, model: Module) -> None:
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits, mirrored = self.model(x), self.model(x[..., ::-1])
        return F.mul(F.add(logits, mirrored[..., ::-1] if logits.ndim == 4 else mirrored), 0.5)
