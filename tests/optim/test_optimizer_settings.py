"""Settings of optimizers and schedules: NumPy's numbers are taken as Python's, and what is no number is named."""

import json
import math

import numpy as np
import pytest

from minidl import Tensor, optim
from minidl.nn import Parameter

NUMBERS = [np.float32, np.float64, np.array, lambda x: Tensor(np.array(x))]
WRONG = ["0.1", None, math.nan, math.inf, 1j, True, [0.1]]


def parameter():
    p = Parameter(np.ones(3, np.float32))
    p.grad = np.ones(3, np.float32)
    return p


MAKERS = {
    "SGD": lambda n: optim.SGD([parameter()], n(0.5), n(0.5), weight_decay=n(0.25), nesterov=np.True_),
    "Adam": lambda n: optim.Adam([parameter()], n(0.5), (n(0.5), n(0.75)), n(0.125), n(0.25)),
    "AdamW": lambda n: optim.AdamW([parameter()], n(0.5), [n(0.5), n(0.75)], n(0.125), n(0.25)),
    "RMSprop": lambda n: optim.RMSprop([parameter()], n(0.5), n(0.5), n(0.125), n(0.25), n(0.5), np.array(True)),
    "a group": lambda n: optim.SGD([{"params": [parameter()], "lr": n(0.5), "momentum": n(0.5)}]),
}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_numbers_of_numpy(make, number):
    ours, plain = make(number), make(float)
    assert json.dumps(ours.state_dict()["numbers"]) == json.dumps(plain.state_dict()["numbers"])
    for optimizer in (ours, plain):
        for _ in range(2):
            optimizer.step()
    assert ours.parameters[0].dtype == np.float32
    np.testing.assert_array_equal(ours.parameters[0].data, plain.parameters[0].data)


def test_numbers_of_numpy_that_are_set_later():
    optimizer = optim.SGD([parameter()], 0.1, 0.5)
    optimizer.lr = np.float32(0.25)
    assert (type(optimizer.lr), optimizer.lr) == (float, 0.25)
    optimizer.param_groups[0]["momentum"] = np.array(0.75)
    json.dumps(optimizer.state_dict()["numbers"])               # also before the step that converts it
    optimizer.step()
    assert (type(optimizer.momentum), optimizer.momentum) == (float, 0.75)


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop])
def test_a_learning_rate_that_is_no_number(make, value):
    message = rf"{make.__name__}: lr=.* must be a finite number of at least 0"
    with pytest.raises(ValueError, match=message):
        make([parameter()], lr=value)
    with pytest.raises(ValueError, match=message):
        make([{"params": [parameter()], "lr": value}])
    optimizer = make([parameter()], 0.5)
    with pytest.raises(ValueError, match=message):
        optimizer.lr = value
    assert optimizer.lr == 0.5                                  # nothing was set
    optimizer.param_groups[0]["lr"] = value
    before = optimizer.parameters[0].data.copy()
    for act in (optimizer.step, optimizer.state_dict):
        with pytest.raises(ValueError, match=message):
            act()
    np.testing.assert_array_equal(optimizer.parameters[0].data, before)
    assert optimizer.states[0]["steps"] == 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda p: optim.SGD(p, 0.1, momentum="0.9"), "SGD: momentum='0.9' must be a finite number"),
    (lambda p: optim.SGD(p, 0.1, 0.9, nesterov="no"), "SGD: nesterov='no' must be True or False"),
    (lambda p: optim.Adam(p, betas=0.9), "Adam: betas=0.9 must be two numbers"),
    (lambda p: optim.Adam(p, betas=("0.9", 0.99)), "Adam: betas='0.9' must be a finite number"),
    (lambda p: optim.Adam(p, eps=None), "Adam: eps=None must be a finite number"),
    (lambda p: optim.AdamW(p, weight_decay=math.nan), "AdamW: weight_decay=nan must be a finite number"),
    (lambda p: optim.RMSprop(p, alpha=[0.9]), r"RMSprop: alpha=\[0.9\] must be a finite number"),
    (lambda p: optim.RMSprop(p, centered=2), "RMSprop: centered=2 must be True or False"),
    (lambda p: optim.clip_grad_norm_(p, "1"), "clip_grad_norm_: max_norm='1' must be a number larger than 0"),
    (lambda p: optim.clip_grad_norm_(p, math.nan), "clip_grad_norm_: max_norm=nan"),
    (lambda p: optim.clip_grad_norm_(p, None), "clip_grad_norm_: max_norm=None"),
])
def test_other_settings_that_are_no_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make([parameter()])


def test_clipping_at_infinity_measures_only():
    p = parameter()
    assert optim.clip_grad_norm_([p], np.float32(np.inf)) == pytest.approx(math.sqrt(3))
    np.testing.assert_array_equal(p.grad, 1)


# Schedules

def optimizer(lr=0.5):
    return optim.SGD([parameter()], lr, 0.9)


SCHEDULES = {
    "StepLR": lambda o, i, f: optim.StepLR(o, i(2), f(0.5)),
    "MultiStepLR": lambda o, i, f: optim.MultiStepLR(o, [i(1), i(3)], f(0.5)),
    "CosineAnnealingLR": lambda o, i, f: optim.CosineAnnealingLR(o, i(4), f(0.25)),
    "OneCycleLR": lambda o, i, f: optim.OneCycleLR(o, f(0.5), i(8), pct_start=f(0.25), base_momentum=f(0.5),
                                                   max_momentum=f(0.75), div_factor=f(4), final_div_factor=f(8)),
    "LinearWarmup": lambda o, i, f: optim.LinearWarmup(o, i(3), f(0.25), after=optim.StepLR(o, i(1))),
    "ExponentialLR": lambda o, i, f: optim.ExponentialLR(o, f(0.5)),
    "PolynomialLR": lambda o, i, f: optim.PolynomialLR(o, i(4), f(2)),
    "CosineAnnealingWarmRestarts": lambda o, i, f: optim.CosineAnnealingWarmRestarts(o, i(2), i(2), f(0.25)),
    "CyclicLR": lambda o, i, f: optim.CyclicLR(o, f(0.125), f(0.5), i(2), i(1), gamma=f(1), base_momentum=f(0.5),
                                               max_momentum=f(0.75)),
    "ConstantLR": lambda o, i, f: optim.ConstantLR(o, f(0.5), i(2)),
    "LinearLR": lambda o, i, f: optim.LinearLR(o, f(0.25), f(0.5), i(3)),
    "LambdaLR": lambda o, i, f: optim.LambdaLR(o, lambda count: f(0.5 ** count)),
    "SequentialLR": lambda o, i, f: optim.SequentialLR(o, [optim.LinearLR(o), optim.StepLR(o, i(1))], [i(2)]),
    "ReduceLROnPlateau": lambda o, i, f: optim.ReduceLROnPlateau(
        o, factor=f(0.5), patience=i(1), threshold=f(0.25), cooldown=i(1), min_lr=f(0.125), eps=f(0)),
}


@pytest.mark.parametrize("whole", [np.int64, np.uint8, np.array])
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_with_numbers_of_numpy(make, whole, number):
    ours, plain = make(optimizer(), whole, number), make(optimizer(), int, float)
    for _ in range(6):
        for schedule in (ours, plain):
            schedule.step(*([number(1.0)] if optim.schedules.needs_metric(schedule) else []))
        assert type(ours.optimizer.lr) is float
        assert ours.optimizer.lr == plain.optimizer.lr
        assert json.dumps(ours.state_dict()) == json.dumps(plain.state_dict())


def test_milestones_and_bounds_as_arrays():
    assert optim.MultiStepLR(optimizer(), np.array([3, 1])).milestones == [1, 3]
    assert optim.ReduceLROnPlateau(optimizer(), min_lr=np.array([0.5])).min_lrs == [0.5]


@pytest.mark.parametrize(("make", "message"), [
    (lambda o: optim.StepLR(o, "3"), "StepLR: step_size='3' must be a whole number"),
    (lambda o: optim.StepLR(o, True), "StepLR: step_size=True must be a whole number"),
    (lambda o: optim.StepLR(o, 3, "0.1"), "StepLR: gamma='0.1' must be a finite number"),
    (lambda o: optim.MultiStepLR(o, 30), "MultiStepLR: milestones=30 must be a list"),
    (lambda o: optim.MultiStepLR(o, [1.5]), "MultiStepLR: milestones=1.5 must be a whole number"),
    (lambda o: optim.CosineAnnealingLR(o, 3, None), "CosineAnnealingLR: eta_min=None"),
    (lambda o: optim.OneCycleLR(o, "1", 5), "OneCycleLR: max_lr='1' must be a finite number"),
    (lambda o: optim.LinearWarmup(o, 2, "half"), "LinearWarmup: start_factor='half'"),
    (lambda o: optim.ReduceLROnPlateau(o, patience=0.5), "ReduceLROnPlateau: patience=0.5"),
    (lambda o: optim.ReduceLROnPlateau(o, factor="0.1"), "ReduceLROnPlateau: factor='0.1'"),
    (lambda o: optim.ReduceLROnPlateau(o).step("0.1"), r"ReduceLROnPlateau\.step: metrics='0.1' must be a number"),
    (lambda o: optim.ReduceLROnPlateau(o).step(None), r"ReduceLROnPlateau\.step: metrics=None must be a number"),
])
def test_settings_of_schedules_that_are_no_numbers(make, message):
    with pytest.raises(ValueError, match=message):
        make(optimizer())


@pytest.mark.parametrize("make", [
    lambda p: optim.StepLR(p, 2), lambda p: optim.OneCycleLR(p, 0.1, 5), optim.ReduceLROnPlateau, optim.LinearWarmup])
def test_a_schedule_needs_an_optimizer(make):
    with pytest.raises(TypeError, match=r"its first argument is the optimizer, not list"):
        make([parameter()])


@pytest.mark.parametrize("result", ["0.1", None, math.nan, -1.0])
def test_a_schedule_whose_result_is_no_learning_rate(result):
    class Strange(optim.schedules.Schedule):
        def lr_at(self, base_lr, count):
            return result if count else np.float32(base_lr)

    made = optimizer()
    schedule = Strange(made)
    assert type(made.lr) is float
    with pytest.raises(ValueError, match=r"Strange\.lr_at: lr=.* must be a finite number of at least 0"):
        schedule.step()
