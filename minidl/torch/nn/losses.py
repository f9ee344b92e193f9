"""The losses as modules: each keeps its settings, and calls the function of `minidl.functional`."""

from typing import Any

from minidl import Tensor
from minidl.nn import Module
from minidl.torch.nn import functional as F


class Loss(Module):
    """A loss with its settings: loss(output, target). A weight belongs to it, and moves with it."""

    function: Any = None

    def __init__(self, *, weight: Any = None, pos_weight: Any = None, **settings: Any):
        super().__init__()
        self.settings = settings
        for name, value in (("weight", weight), ("pos_weight", pos_weight)):
            if value is not None:
                self.register_buffer(name, value if isinstance(value, Tensor) else Tensor(value), persistent=False)

    def forward(self, x: Tensor, target: Any) -> Tensor:
        given = {name: vars(self)[name] for name in ("weight", "pos_weight") if name in vars(self)}
        return type(self).function(x, target, **given, **self.settings)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())


class CrossEntropyLoss(Loss):
    """cross_entropy of logits and class numbers."""

    function = staticmethod(F.cross_entropy)

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0):
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)


class NLLLoss(Loss):
    """nll_loss of log-probabilities and class numbers."""

    function = staticmethod(F.nll_loss)

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction)


class BCEWithLogitsLoss(Loss):
    """binary_cross_entropy_with_logits of logits and targets from 0 to 1."""

    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(weight=weight, pos_weight=pos_weight, reduction=reduction)


class BCELoss(Loss):
    """binary_cross_entropy of probabilities and targets from 0 to 1."""

    function = staticmethod(F.binary_cross_entropy)

    def __init__(self, weight: Any = None, reduction: str = "mean"):
        super().__init__(weight=weight, reduction=reduction)


class MSELoss(Loss):
    """mse_loss: the mean of (x - target)**2."""

    function = staticmethod(F.mse_loss)

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class L1Loss(Loss):
    """l1_loss: the mean of |x - target|."""

    function = staticmethod(F.l1_loss)

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)


class SmoothL1Loss(Loss):
    """smooth_l1_loss: quadratic below beta, linear above."""

    function = staticmethod(F.smooth_l1_loss)

    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction=reduction, beta=beta)
