"""Schedules that hold others, and the learning rates from which schedules start."""

import json
import math

import numpy as np
import pytest

from minidl import optim
from minidl.nn import Parameter
from minidl.optim.schedules import needs_metric


def optimizer(lr=1.0, momentum=0.9):
    return optim.SGD([Parameter(np.ones(1, np.float32))], lr, momentum)


def plateau_last(made):
    return optim.SequentialLR(made, [optim.ExponentialLR(made, 0.5), optim.ReduceLROnPlateau(made, patience=0)], [2])


def walk(schedule, metrics):
    return [schedule.step(metric) or schedule.optimizer.lr for metric in metrics]


def test_a_plateau_starts_from_the_learning_rate_that_it_finds():
    schedule = plateau_last(optimizer())
    assert needs_metric(schedule)
    assert walk(schedule, [1, 1, 1, 1, 0.5, 0.5]) == pytest.approx([0.5, 0.5, 0.5, 0.05, 0.05, 0.005])


def test_a_plateau_first():
    made = optimizer()
    parts = [optim.ReduceLROnPlateau(made, patience=0), optim.LinearLR(made, 0.25)]
    schedule = optim.SequentialLR(made, parts, [3])
    assert made.lr == 1.0
    assert walk(schedule, [2, 2, 1, 1]) == pytest.approx([1.0, 0.1, 0.25, 0.4])


@pytest.mark.parametrize("steps", range(7))
def test_a_resumed_sequence_with_a_plateau_continues(steps):
    metrics = [1, 1, 1, 1, 0.5, 0.5, 0.5]
    straight = walk(plateau_last(optimizer()), metrics)
    first, second = plateau_last(optimizer()), plateau_last(optimizer())
    walk(first, metrics[:steps])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.optimizer.lr = first.optimizer.lr                    # saved with the optimizer
    assert walk(second, metrics[steps:]) == straight[steps:]


def test_sequences_nest():
    made = optimizer()
    inner = optim.SequentialLR(made, [optim.ConstantLR(made, 0.5, 9), optim.ExponentialLR(made, 0.1)], [2])
    outer = optim.SequentialLR(made, [optim.LinearLR(made, 0.5, total_iters=2), inner], [2])
    seen = [made.lr]
    for _ in range(6):
        outer.step()
        seen.append(made.lr)
    assert seen == pytest.approx([0.5, 0.75, 0.5, 0.5, 1, 0.1, 0.01])


def test_one_cycle_after_a_warmup():
    made, alone = optimizer(0.1), optimizer()
    schedule = optim.SequentialLR(made, [optim.LinearLR(made, 0.5, total_iters=2), optim.OneCycleLR(made, 1.0, 6)], [2])
    cycle = optim.OneCycleLR(alone, 1.0, 6)
    assert made.lr == pytest.approx(0.05)
    schedule.step()
    for _ in range(6):
        schedule.step()
        assert (made.lr, made.momentum) == (alone.lr, alone.momentum)
        cycle.step()


def test_how_many_steps_there_are():
    made = optimizer()
    cycle = optim.OneCycleLR(made, 1.0, 8)
    assert optim.LinearWarmup(made, 3, after=cycle).total_steps == 11
    assert optim.SequentialLR(made, [optim.LinearLR(made), cycle], [5]).total_steps == 13
    assert optim.LinearWarmup(made, 3).total_steps == optim.StepLR(made, 3).total_steps == math.inf
    assert optim.LinearWarmup(made, 3, after=optim.ReduceLROnPlateau(made)).total_steps == math.inf


def test_every_schedule_starts_from_the_initial_learning_rate():
    """Whatever schedules of the same optimizer have made of it, unless somebody else has set it since."""
    made = optimizer(0.8)
    optim.LinearLR(made, 0.25)
    assert made.lr == pytest.approx(0.2)
    assert optim.StepLR(made, 3).base_lrs == [0.8]
    made.lr = 0.3
    assert optim.StepLR(made, 3).base_lrs == [0.3]
    made.param_groups[0]["lr"] = 0.4
    assert optim.ExponentialLR(made, 0.5).base_lrs == [0.4]


@pytest.mark.parametrize(("make", "message"), [
    (lambda o: optim.ExponentialLR(o, -0.5), "ExponentialLR: gamma=-0.5"),
    (lambda o: optim.PolynomialLR(o, 0), "PolynomialLR: total_iters=0"),
    (lambda o: optim.PolynomialLR(o, 3, "1"), "PolynomialLR: power='1'"),
    (lambda o: optim.ConstantLR(o, 2.0), "ConstantLR: factor=2.0 must be a finite number from 0 to 1"),
    (lambda o: optim.ConstantLR(o, 0.5, -1), "ConstantLR: total_iters=-1"),
    (lambda o: optim.LinearLR(o, 1.5), "LinearLR: start_factor=1.5"),
    (lambda o: optim.LinearLR(o, 0.5, -1), "LinearLR: end_factor=-1"),
    (lambda o: optim.LinearLR(o, total_iters=0), "LinearLR: total_iters=0"),
    (lambda o: optim.CosineAnnealingWarmRestarts(o, 0), "CosineAnnealingWarmRestarts: T_0=0"),
    (lambda o: optim.CosineAnnealingWarmRestarts(o, 2, 1.5), "CosineAnnealingWarmRestarts: T_mult=1.5"),
    (lambda o: optim.LambdaLR(o, 0.5), "LambdaLR: lr_lambda=0.5 must be one function"),
    (lambda o: optim.LambdaLR(o, [abs, abs]), "must be one function of the number of steps, or 1, one for each group"),
    (lambda o: optim.LambdaLR(o, lambda count: "1"), r"LambdaLR: lr_lambda\(0\)='1' must be a finite number"),
    (lambda o: optim.CyclicLR(o, 0.1, 1.0, 0), "CyclicLR: step_size_up=0"),
    (lambda o: optim.CyclicLR(o, 0.1, 1.0, 2, 0), "CyclicLR: step_size_down=0"),
    (lambda o: optim.CyclicLR(o, 0.1, [1.0, 2.0]), r"CyclicLR: max_lr=\[1.0, 2.0\] must be one number or 1"),
    (lambda o: optim.CyclicLR(o, 0.1, 1.0, mode="round"), "CyclicLR: mode='round' must be 'triangular'"),
    (lambda o: optim.CyclicLR(o, 0.1, 1.0, scale_mode="epoch"), "scale_mode='epoch' must be 'cycle'"),
    (lambda o: optim.CyclicLR(o, 0.1, 1.0, scale_fn=3), "scale_fn=3 must be a function"),
    (lambda o: optim.CyclicLR(optimizer(momentum=0), 0.1, 1.0), "CyclicLR: the optimizer has no momentum"),
    (lambda o: optim.SequentialLR(o, [], []), r"SequentialLR: schedulers=\[\] must be a list of schedules"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [3]), "1 schedules need 0 milestones, not 1"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)] * 3, [3, 3]), r"milestones=\[3, 3\] must ascend"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)] * 2, [0]), "milestones=0"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)] * 2, 5), "milestones=5 must be a list"),
    (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1), optim.StepLR(optimizer(), 1)], [5]),
     "the StepLR in schedulers belongs to another optimizer"),
    (lambda o: optim.SequentialLR(o, [optim.OneCycleLR(o, 1.0, 4), optim.StepLR(o, 1)], [5]),
     "OneCycleLR ends after 4 steps, but has to take 5, from step 0 to milestone 5"),
])
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(optimizer())


def test_what_is_no_schedule():
    made = optimizer()
    with pytest.raises(TypeError, match="SequentialLR: schedulers must be a schedule, such as StepLR"):
        optim.SequentialLR(made, [optim.StepLR(made, 1), 0.1], [5])
    with pytest.raises(TypeError, match="LinearWarmup: after must be a schedule, such as StepLR"):
        optim.LinearWarmup(made, 2, after=made)
    for make in (lambda: optim.SequentialLR([], [made], []), lambda: optim.LambdaLR([], abs),
                 lambda: optim.CyclicLR([], 0.1, 1.0)):
        with pytest.raises(TypeError, match="its first argument is the optimizer, not list"):
            make()
