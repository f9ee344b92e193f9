"""Optimizers and schedules print the settings that make them, which are part of the recipe of a run."""

import numpy as np
import pytest

from minidl import optim
from minidl.nn import Parameter


class Inverse(optim.schedules.Schedule):
    """A schedule of the user's."""

    def __init__(self, optimizer, power=1.0, shape=None):
        self.power, self.shape = power, shape
        super().__init__(optimizer)

    def lr_at(self, base_lr, count):
        return base_lr / (1 + count) ** self.power


def sgd():
    return optim.SGD([Parameter(np.ones(3, np.float32))], 0.1, 0.9)


@pytest.mark.parametrize(("make", "text"), [
    (sgd, "SGD(lr=0.1, momentum=0.9)"),
    (lambda: optim.Adam(sgd().parameters, np.float32(0.25), betas=[0.9, 0.99]), "Adam(lr=0.25, betas=[0.9, 0.99])"),
    (lambda: optim.RMSprop(sgd().parameters), "RMSprop()"),
    (lambda: optim.SGD([{"params": sgd().parameters, "lr": 1}, {"params": sgd().parameters}], 0.5, weight_decay=0.25),
     "SGD(1 parameter with lr=1, weight_decay=0.25; 1 parameter with lr=0.5, weight_decay=0.25)"),
    (lambda: optim.StepLR(sgd(), 10), "StepLR(step_size=10)"),
    (lambda: optim.StepLR(sgd(), 10, gamma=0.5), "StepLR(step_size=10, gamma=0.5)"),
    (lambda: optim.MultiStepLR(sgd(), np.array([6, 3])), "MultiStepLR(milestones=[3, 6])"),
    (lambda: optim.OneCycleLR(sgd(), 0.2, 50, anneal_strategy="linear"),
     "OneCycleLR(max_lr=[0.2], total_steps=50, anneal_strategy='linear')"),
    (lambda: optim.CyclicLR(sgd(), 0.1, 0.2, 20, base_momentum=0.7),
     "CyclicLR(base_lr=[0.1], max_lr=[0.2], step_size_up=20, step_size_down=20, base_momentum=0.7)"),
    (lambda: optim.ReduceLROnPlateau(sgd(), patience=3, min_lr=0.01), "ReduceLROnPlateau(patience=3, min_lr=0.01)"),
    (lambda: in_a_row(sgd()), "SequentialLR(schedulers=[ExponentialLR(gamma=0.5), LinearWarmup(total_iters=2, "
                              "after=CosineAnnealingLR(T_max=7))], milestones=[4])"),
    (lambda: optim.LambdaLR(sgd(), abs), "LambdaLR(lr_lambda=function abs)"),
    (lambda: Inverse(sgd(), 2.0, shape=object()), "Inverse(power=2, shape=object)"),
])
def test_what_is_printed(make, text):
    assert repr(make()) == text


def in_a_row(optimizer):
    warm = optim.LinearWarmup(optimizer, 2, after=optim.CosineAnnealingLR(optimizer, 7))
    return optim.SequentialLR(optimizer, [optim.ExponentialLR(optimizer, 0.5), warm], [4])


@pytest.mark.parametrize("make", [
    lambda optimizer: optim.OneCycleLR(optimizer, 0.2, 50), in_a_row, lambda optimizer: Inverse(optimizer, 0.5)])
def test_steps_change_no_text(make):
    optimizer = sgd()
    schedule = make(optimizer)
    before = repr(schedule)
    for _ in range(8):
        schedule.step()
    assert repr(schedule) == before
    assert repr(optimizer) == repr(sgd())


def test_a_setting_that_is_set_is_printed():
    optimizer = sgd()
    optimizer.lr = 0.25
    assert repr(optimizer) == "SGD(lr=0.25, momentum=0.9)"
