"""Schedules against closed forms, and, where PyTorch is installed, against its values step by step."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import optim
from minidl.nn import Parameter


def optimizer(lr=0.1, momentum=0.9):
    """An optimizer with one parameter."""
    return optim.SGD([Parameter(np.ones(1, np.float32))], lr, momentum)


def lrs(schedule, steps):
    """The learning rates before each step and after the last."""
    seen = [schedule.optimizer.lr]
    for _ in range(steps):
        schedule.step()
        seen.append(schedule.optimizer.lr)
    return seen


@given(lr=st.floats(1e-4, 10), size=st.integers(1, 5), gamma=st.floats(0.1, 1))
def test_step(lr, size, gamma):
    expected = [lr]
    for count in range(1, 12):
        expected.append(expected[-1] * (gamma if count % size == 0 else 1))
    assert lrs(optim.StepLR(optimizer(lr), size, gamma), 11) == pytest.approx(expected)


@given(lr=st.floats(1e-4, 10), milestones=st.lists(st.integers(1, 10), max_size=4), gamma=st.floats(0.1, 1))
def test_multi_step(lr, milestones, gamma):
    expected = [lr * gamma ** sum(m <= count for m in milestones) for count in range(12)]
    assert lrs(optim.MultiStepLR(optimizer(lr), milestones, gamma), 11) == pytest.approx(expected)


def test_cosine():
    seen = lrs(optim.CosineAnnealingLR(optimizer(1.0), 4, eta_min=0.2), 8)
    half = math.sqrt(0.5)
    down = [1, 0.6 + 0.4 * half, 0.6, 0.6 - 0.4 * half, 0.2]
    assert seen == pytest.approx([*down, *down[-2::-1]])


def test_one_cycle_rises_and_falls_and_momentum_inversely():
    chosen = optimizer()
    schedule = optim.OneCycleLR(chosen, 1.0, 11, pct_start=5 / 11, anneal_strategy="linear", div_factor=5,
                                final_div_factor=4)
    seen, momenta = [], []
    for _ in range(11):
        seen.append(chosen.lr)
        momenta.append(chosen.momentum)
        schedule.step()                                         # the last one, after the last batch, stays at the end
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, *np.linspace(1, 0.05, 7)[1:]])
    assert momenta == pytest.approx([0.95, 0.925, 0.9, 0.875, 0.85, *np.linspace(0.85, 0.95, 7)[1:]])
    assert chosen.lr == pytest.approx(0.05)
    with pytest.raises(ValueError, match="step 12 comes after the last of total_steps=11"):
        schedule.step()


def test_one_cycle_of_adam_moves_the_first_beta():
    chosen = optim.Adam([Parameter(np.ones(1, np.float32))])
    optim.OneCycleLR(chosen, 1.0, 10)
    assert chosen.betas == (0.95, 0.999)


def test_warmup_alone_and_before_another_schedule():
    assert lrs(optim.LinearWarmup(optimizer(1.0), 4, 0.2), 6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    chosen = optimizer(1.0)
    schedule = optim.LinearWarmup(chosen, 2, 0.5, after=optim.StepLR(chosen, 2, 0.1))
    assert lrs(schedule, 7) == pytest.approx([0.5, 0.75, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_warmup_before_a_plateau():
    chosen = optimizer(1.0)
    schedule = optim.LinearWarmup(chosen, 2, 0.5, after=optim.ReduceLROnPlateau(chosen, patience=0))
    for _ in range(4):
        schedule.step(3.0)
    assert chosen.lr == pytest.approx(0.1)


def reduced(metrics, **settings):
    """The learning rates after each metric, beginning with 1."""
    chosen = optimizer(1.0)
    schedule = optim.ReduceLROnPlateau(chosen, **settings)
    seen = []
    for metric in metrics:
        schedule.step(metric)
        seen.append(chosen.lr)
    return seen


def test_plateau():
    assert reduced([5, 4, 4, 4, 4], patience=1) == pytest.approx([1, 1, 1, 0.1, 0.1])
    assert reduced([1, 2, 2, 2], mode="max", patience=0, factor=0.5) == pytest.approx([1, 1, 0.5, 0.25])
    assert reduced([1, 1, 1, 1, 1], patience=0, cooldown=2) == pytest.approx([1, 0.1, 0.1, 0.1, 0.01])
    assert reduced([1] * 4, patience=0, min_lr=0.05) == pytest.approx([1, 0.1, 0.05, 0.05])
    assert reduced([1, 0.95, 0.8], patience=0, threshold=0.1) == pytest.approx([1, 0.1, 0.1])
    assert reduced([1, 0.95, 0.85], patience=0, threshold=0.1, threshold_mode="abs") == pytest.approx([1, 0.1, 0.1])
    assert reduced([1, 1], patience=0, eps=0.95) == [1, 1]
    assert reduced([math.nan, 1, math.nan], patience=0) == pytest.approx([0.1, 0.1, 0.01])


def grouped(*rates):
    """An optimizer with a group for each learning rate."""
    return optim.SGD([{"params": [Parameter(np.ones(1, np.float32))], "lr": lr} for lr in rates], 9.0, 0.9)


@pytest.mark.parametrize("make", [
    lambda o, scheduler: scheduler.StepLR(o, 2),
    lambda o, scheduler: scheduler.MultiStepLR(o, [1, 3]),
    lambda o, scheduler: scheduler.CosineAnnealingLR(o, 5, eta_min=0.05),
    lambda o, scheduler: scheduler.OneCycleLR(o, 1.0, 8),
    lambda o, scheduler: scheduler.OneCycleLR(o, [1.0, 0.2], 8),
    lambda o, scheduler: scheduler.ReduceLROnPlateau(o, patience=0, min_lr=[0.0, 0.05]),
])
def test_groups_against_pytorch(make):
    torch = pytest.importorskip("torch")
    ours = grouped(0.1, 0.8)
    theirs = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": lr} for lr in (0.1, 0.8)], 9.0, 0.9)
    schedule = make(ours, optim)
    with warnings.catch_warnings(action="ignore"):
        reference = make(theirs, torch.optim.lr_scheduler)
        for _ in range(7):
            for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
                assert group["lr"] == pytest.approx(other["lr"])
                assert group["momentum"] == pytest.approx(other["momentum"])
            for stepper in (schedule, reference):
                stepper.step(*([1.0] if isinstance(schedule, optim.ReduceLROnPlateau) else []))


def test_groups_keep_their_ratio():
    chosen = grouped(0.1, 0.8)
    schedule = optim.LinearWarmup(chosen, 3, after=optim.StepLR(chosen, 2))
    for _ in range(8):
        first, second = (group["lr"] for group in chosen.param_groups)
        assert second == pytest.approx(8 * first)
        schedule.step()
    assert first == pytest.approx(0.001)


SCHEDULES = {
    "step": lambda o: optim.StepLR(o, 3),
    "multi": lambda o: optim.MultiStepLR(o, [2, 5]),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 8),
    "one cycle": lambda o: optim.OneCycleLR(o, 1.0, 8),
    "warm-up": lambda o: optim.LinearWarmup(o, 3, after=optim.StepLR(o, 2)),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [2, 5])
def test_a_resumed_schedule_continues(name, steps):
    straight = lrs(SCHEDULES[name](optimizer()), 7)
    first = SCHEDULES[name](optimizer())
    lrs(first, steps)
    second = SCHEDULES[name](optimizer(first.optimizer.lr))     # created again, with the last learning rate
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.optimizer.momentum == first.optimizer.momentum
    assert lrs(second, 7 - steps) == straight[steps:]


def test_a_resumed_plateau_continues():
    first = optim.ReduceLROnPlateau(optimizer(), patience=1)
    second = optim.ReduceLROnPlateau(optimizer(), patience=1)
    for metric in (3, 3):
        first.step(metric)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    for schedule in (first, second):
        schedule.step(3)
    assert first.optimizer.lr == second.optimizer.lr == pytest.approx(0.01)
    fresh = optim.ReduceLROnPlateau(optimizer())
    json.dumps(fresh.state_dict(), allow_nan=False)


@pytest.mark.parametrize(("make", "message"), [
    (lambda o: optim.StepLR(o, 0), "StepLR: step_size=0"),
    (lambda o: optim.CosineAnnealingLR(o, 2.5), "CosineAnnealingLR: T_max=2.5"),
    (lambda o: optim.OneCycleLR(o, 1.0, 0), "OneCycleLR: total_steps=0"),
    (lambda o: optim.OneCycleLR(o, 1.0, 5, pct_start=2), "pct_start=2"),
    (lambda o: optim.OneCycleLR(o, 1.0, 5, anneal_strategy="exp"), "anneal_strategy='exp'"),
    (lambda o: optim.OneCycleLR(optimizer(momentum=0), 1.0, 5), "no momentum"),
    (lambda o: optim.OneCycleLR(o, [1.0, 2.0], 5), r"max_lr=\[1.0, 2.0\] must be one number or 1, one for each group"),
    (lambda o: optim.ReduceLROnPlateau(o, min_lr=[]), r"min_lr=\[\] must be one number or 1"),
    (lambda o: optim.LinearWarmup(o, 0), "LinearWarmup: total_iters=0"),
    (lambda o: optim.LinearWarmup(o, 2, 1.5), "start_factor=1.5"),
    (lambda o: optim.LinearWarmup(o, 2, after=optim.StepLR(optimizer(), 1)), "another optimizer"),
    (lambda o: optim.ReduceLROnPlateau(o, "best"), "mode='best'"),
    (lambda o: optim.ReduceLROnPlateau(o, threshold_mode="x"), "threshold_mode='x'"),
    (lambda o: optim.ReduceLROnPlateau(o, factor=1), "factor=1"),
])
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(optimizer())


@pytest.mark.parametrize(("name", "arguments", "settings", "steps"), [
    ("StepLR", (3,), {}, 10),
    ("MultiStepLR", ([2, 2, 7],), {"gamma": 0.5}, 10),
    ("CosineAnnealingLR", (7,), {"eta_min": 0.01}, 20),
    ("OneCycleLR", (0.5, 20), {}, 19),
    ("OneCycleLR", (0.5, 13), {"pct_start": 0.4, "anneal_strategy": "linear", "div_factor": 10.0}, 12),
    ("OneCycleLR", (0.5, 9), {"pct_start": 0.0}, 8),
    ("OneCycleLR", (0.5, 9), {"pct_start": 1.0}, 8),
])
def test_against_pytorch(name, arguments, settings, steps):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1, 0.9)
    ours = optimizer()
    schedules = getattr(optim, name)(ours, *arguments, **settings), None
    with warnings.catch_warnings(action="ignore"):              # PyTorch warns: the optimizer made no steps
        schedules = schedules[0], getattr(torch.optim.lr_scheduler, name)(theirs, *arguments, **settings)
        for _ in range(steps):
            assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"])
            assert ours.momentum == pytest.approx(theirs.param_groups[0]["momentum"])
            for schedule in schedules:
                schedule.step()
    assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"])


def test_warmup_against_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1)
    ours = optimizer()
    scheduler = torch.optim.lr_scheduler
    with warnings.catch_warnings(action="ignore"):
        reference = scheduler.SequentialLR(theirs, [scheduler.LinearLR(theirs, total_iters=4),
                                                    scheduler.CosineAnnealingLR(theirs, 6)], [4])
        schedule = optim.LinearWarmup(ours, 4, after=optim.CosineAnnealingLR(ours, 6))
        for _ in range(10):
            assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"])
            schedule.step()
            reference.step()


def test_plateau_against_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for mode in ("min", "max"):
        for threshold_mode in ("rel", "abs"):
            settings = {"mode": mode, "threshold_mode": threshold_mode, "patience": 2, "cooldown": 1, "factor": 0.7}
            theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 1.0)
            ours = optimizer(1.0)
            schedule = optim.ReduceLROnPlateau(ours, **settings)
            reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **settings)
            for metric in rng.random(60):
                schedule.step(metric)
                reference.step(metric)
                assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"])


@pytest.mark.parametrize(("mode", "best", "worse", "better"), [
    ("min", 2.0, [2.5, 2.0, 1.99], 1.5), ("max", 2.0, [1.5, 2.0, 2.01], 2.5),
    ("min", -2.0, [-1.5, -2.0, -2.01], -2.5), ("max", -2.0, [-2.5, -2.0, -1.99], -1.5),
    ("min", 0.0, [1.0, 0.0], -1e-6), ("max", 0.0, [-1.0, 0.0], 1e-6),
])
def test_a_relative_threshold_for_metrics_of_any_sign(mode, best, worse, better):
    """An improvement is one by a tenth of the size of the best value, whatever its sign."""
    schedule = optim.ReduceLROnPlateau(optimizer(1.0), mode, patience=0, threshold=0.1)
    schedule.step(best)
    for metric in worse:
        before = schedule.optimizer.lr
        schedule.step(metric)
        assert schedule.optimizer.lr == pytest.approx(before / 10)
    before = schedule.optimizer.lr
    schedule.step(better)
    assert (schedule.optimizer.lr, schedule.best) == (before, better)


def chain(made):
    """Two warm-ups and then a plateau, one inside the other."""
    return optim.LinearWarmup(made, 2, 0.5, after=optim.LinearWarmup(made, 2, 0.5, after=optim.ReduceLROnPlateau(
        made, patience=0)))


class Sequence(optim.schedules.Schedule):
    """A user's own: its parts one after the other, each for `steps` steps."""

    def __init__(self, optimizer, parts, steps):
        self.parts, self.steps = parts, steps
        super().__init__(optimizer)

    def lr_at(self, base_lr, count):
        return self.optimizer.lr

    def step(self, metric):
        part = self.parts[min(self.count // self.steps, len(self.parts) - 1)]
        part.step(*([metric] if optim.schedules.needs_metric(part) else []))
        self.count += 1


def test_which_schedules_need_a_metric():
    made, needs = optimizer(), optim.schedules.needs_metric
    plateau = optim.ReduceLROnPlateau(made)
    step = optim.StepLR(made, 2)
    assert needs(plateau)
    assert needs(optim.LinearWarmup(made, after=plateau))
    assert needs(chain(made))
    assert needs(Sequence(made, [step, optim.LinearWarmup(made, after=plateau)], 2))
    assert not any(needs(schedule) for schedule in (
        step, optim.LinearWarmup(made), optim.LinearWarmup(made, after=step), Sequence(made, [step, step], 2), None))


def test_a_warmup_hands_on_the_metric_only_where_it_is_needed():
    made = optimizer(1.0)
    schedule = optim.LinearWarmup(made, 1, 0.5, after=optim.StepLR(made, 1))
    assert [made.lr, *(schedule.step(1.0) or made.lr for _ in range(2))] == pytest.approx([0.5, 1, 0.1])


@pytest.mark.parametrize("steps", range(8))
def test_a_resumed_chain_continues(steps):
    metrics = [5, 4, 3, 2, 2, 1, 1, 1]

    def run(schedule, metrics):
        return [schedule.step(metric) or schedule.optimizer.lr for metric in metrics]

    straight = run(chain(optimizer(1.0)), metrics)
    assert straight == pytest.approx([0.375, 0.5, 0.75, 1, 1, 1, 0.1, 0.01])
    first = chain(optimizer(1.0))
    run(first, metrics[:steps])
    second = chain(optimizer(1.0))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.optimizer.lr = first.optimizer.lr                    # saved with the optimizer
    assert run(second, metrics[steps:]) == straight[steps:]
