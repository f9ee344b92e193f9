"""Learning rate schedules: each call of `step` sets the learning rate of the optimizer.

The caller decides whether that is after every epoch or after every batch; the settings count these steps. The learning
rate of all but ReduceLROnPlateau is a function of the number of steps and of the initial learning rate, so that groups
of parameters keep different ones. Names, settings and values are PyTorch's; LinearWarmup is PyTorch's LinearLR with
another schedule after it. Read `schedule.py` first.
"""

from minidl.optim.schedules.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from minidl.optim.schedules.cycle import CyclicLR, OneCycleLR
from minidl.optim.schedules.decay import ExponentialLR, LambdaLR, MultiStepLR, PolynomialLR, StepLR
from minidl.optim.schedules.plateau import ReduceLROnPlateau, needs_metric
from minidl.optim.schedules.schedule import Schedule
from minidl.optim.schedules.sequence import ConstantLR, LinearLR, LinearWarmup, SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "LinearWarmup",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "needs_metric",
]
