"""Schedules step by step against PyTorch's, over hundreds of steps, with groups of different learning rates."""

import json
import warnings

import numpy as np
import pytest

from minidl import optim
from minidl.nn import Parameter

MAKE = {
    "exponential": lambda o, s: s.ExponentialLR(o, 0.97),
    "polynomial": lambda o, s: s.PolynomialLR(o, 150, 0.9),
    "linear": lambda o, s: s.LinearLR(o, 0.1, 0.7, 90),
    "constant": lambda o, s: s.ConstantLR(o, 0.25, 40),
    "lambda": lambda o, s: s.LambdaLR(o, lambda count: 1 / (1 + 0.1 * count)),
    "lambdas": lambda o, s: s.LambdaLR(o, [lambda count: 0.99 ** count, lambda count: 1.0 + count % 7]),
    "restarts": lambda o, s: s.CosineAnnealingWarmRestarts(o, 17),
    "longer restarts": lambda o, s: s.CosineAnnealingWarmRestarts(o, 10, 2, eta_min=0.01),
    "triangular": lambda o, s: s.CyclicLR(o, 0.01, 0.3, 20),
    "uneven": lambda o, s: s.CyclicLR(o, [0.01, 0.1], [0.3, 0.9], 7, 13, mode="triangular2"),
    "exp_range": lambda o, s: s.CyclicLR(o, 0.01, 0.3, 15, mode="exp_range", gamma=0.99, cycle_momentum=False),
    "own scale": lambda o, s: s.CyclicLR(o, 0.01, 0.3, 15, scale_fn=lambda cycle: 1 / cycle),
    "own scale by step": lambda o, s: s.CyclicLR(o, 0.01, 0.3, 15, scale_fn=lambda count: 0.98 ** count,
                                                 scale_mode="iterations"),
    "warm-up and cosine": lambda o, s: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=20),
                                                          s.CosineAnnealingLR(o, 180)], [20]),
    "cosine, created first": lambda o, s: s.SequentialLR(
        o, list(reversed([s.CosineAnnealingLR(o, 180), s.LinearLR(o, 0.1, total_iters=20)])), [20]),
    "four in a row": lambda o, s: s.SequentialLR(
        o, [s.ConstantLR(o, 0.5, 10), s.ExponentialLR(o, 0.9), s.PolynomialLR(o, 50), s.StepLR(o, 9, 0.5)],
        [15, 60, 130]),
}


def pair(make):
    """One optimizer and schedule of ours, and those of PyTorch."""
    torch = pytest.importorskip("torch")
    ours = optim.SGD([{"params": [Parameter(np.ones(1, np.float32))], "lr": lr} for lr in (0.1, 0.8)], 9.0, 0.9)
    theirs = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (0.1, 0.8)], 9.0, 0.9)
    return (ours, make(ours, optim)), (theirs, make(theirs, torch.optim.lr_scheduler))


@pytest.mark.parametrize("name", MAKE)
def test_against_pytorch(name):
    with warnings.catch_warnings(action="ignore"):               # PyTorch warns: the optimizer made no steps
        (ours, schedule), (theirs, reference) = pair(MAKE[name])
        for _ in range(250):
            for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
                assert group["lr"] == pytest.approx(other["lr"], rel=1e-9, abs=1e-12)
                assert group["momentum"] == pytest.approx(other["momentum"])
            schedule.step()
            reference.step()


def test_adams_first_beta_in_cycles():
    torch = pytest.importorskip("torch")
    ours = optim.Adam([Parameter(np.ones(1, np.float32))])
    theirs = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])
    with warnings.catch_warnings(action="ignore"):
        schedule = optim.CyclicLR(ours, 0.01, 0.3, 5)
        reference = torch.optim.lr_scheduler.CyclicLR(theirs, 0.01, 0.3, 5)
        for _ in range(25):
            assert ours.betas == pytest.approx(theirs.param_groups[0]["betas"])
            schedule.step()
            reference.step()


def made(name):
    optimizer = optim.SGD([{"params": [Parameter(np.ones(1, np.float32))], "lr": lr} for lr in (0.1, 0.8)], 9.0, 0.9)
    return MAKE[name](optimizer, optim)


def rates(schedule, steps):
    """What each of the steps sets."""
    seen = []
    for _ in range(steps):
        schedule.step()
        seen.append([(group["lr"], group["momentum"]) for group in schedule.optimizer.param_groups])
    return seen


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("steps", [0, 7, 60, 131])
def test_a_resumed_schedule_continues(name, steps):
    straight = rates(made(name), 150)
    first, second = made(name), made(name)
    rates(first, steps)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [g["lr"] for g in second.optimizer.param_groups] == [g["lr"] for g in first.optimizer.param_groups]
    assert rates(second, 150 - steps) == straight[steps:]
