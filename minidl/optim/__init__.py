"""Optimizers, which update weights by their gradients. Read `optimizer.py`, then `sgd.py`, then `schedules/`."""

from typing import TYPE_CHECKING, NoReturn

from minidl import missing
from minidl.optim.adagrad import Adagrad
from minidl.optim.adam import Adam, AdamW
from minidl.optim.average import ExponentialMovingAverage, Lookahead
from minidl.optim.clip import clip_grad_norm_
from minidl.optim.grad_scaler import GradScaler
from minidl.optim.groups import parameter_groups
from minidl.optim.nadam import NAdam
from minidl.optim.optimizer import Optimizer
from minidl.optim.rmsprop import RMSprop
from minidl.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from minidl.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "ExponentialMovingAverage",
    "GradScaler",
    "LambdaLR",
    "LinearLR",
    "LinearWarmup",
    "Lookahead",
    "MultiStepLR",
    "NAdam",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "parameter_groups",
]


if not TYPE_CHECKING:
    def __getattr__(name: str) -> NoReturn:
        raise missing.no_such("minidl.optim", name, {**missing.SCHEDULES, **missing.OPTIM})
