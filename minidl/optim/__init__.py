"""Optimizers, which update weights by their gradients. Read `optimizer.py`, then `sgd.py`, then `schedules.py`."""

from minidl.optim.adam import Adam, AdamW
from minidl.optim.average import ExponentialMovingAverage, Lookahead
from minidl.optim.clip import clip_grad_norm_
from minidl.optim.optimizer import Optimizer
from minidl.optim.rmsprop import RMSprop
from minidl.optim.schedules import (
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)
from minidl.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialMovingAverage",
    "LinearWarmup",
    "Lookahead",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "StepLR",
    "clip_grad_norm_",
]
