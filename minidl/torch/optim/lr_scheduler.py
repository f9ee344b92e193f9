"""PyTorch's `torch.optim.lr_scheduler`: the schedules of `minidl.optim`."""

from typing import TYPE_CHECKING, NoReturn

from minidl import missing
from minidl.optim import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from minidl.optim.schedules import Schedule as LRScheduler

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LRScheduler",
    "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.torch.optim.lr_scheduler", name, missing.SCHEDULES)
