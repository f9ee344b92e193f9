"""Groups of parameters: learning rates by layer, and weight decay that spares norms and biases."""

import numpy as np
import pytest

from minidl import Tensor, nn, optim
from minidl.optim import parameter_groups


class Net(nn.Module):
    def __init__(self):
        self.stem = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.blocks = [nn.Linear(2, 2), nn.Linear(2, 2)]
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        x = self.norm(self.stem(x)).mean((2, 3))
        return self.head(self.blocks[1](self.blocks[0](x)))


def by_name(groups):
    return {name: (group["lr"], group["weight_decay"]) for group in groups for name, _ in group["params"]}


def test_one_group_if_nothing_differs():
    model = Net()
    [group] = parameter_groups(model, 0.1, 0.01)
    assert group["params"] == list(model.named_parameters())
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)


def test_factors_and_the_longest_name_counts():
    found = by_name(parameter_groups(Net(), 1.0, 0.5, {"blocks": 0.1, "blocks.1": 0.2, "stem.weight": 0.0}))
    assert {name: lr for name, (lr, _) in found.items()} == {
        "stem.weight": 0.0, "stem.bias": 1.0, "norm.weight": 1.0, "norm.bias": 1.0, "blocks.0.weight": 0.1,
        "blocks.0.bias": 0.1, "blocks.1.weight": 0.2, "blocks.1.bias": 0.2, "head.weight": 1.0, "head.bias": 1.0}


def test_norms_and_biases_without_weight_decay():
    found = by_name(parameter_groups(Net(), 1.0, 0.5, decay_norms_and_biases=False))
    assert {name for name, (_, decay) in found.items() if decay == 0} == {
        "stem.bias", "norm.weight", "norm.bias", "blocks.0.bias", "blocks.1.bias", "head.bias"}
    assert {decay for _, decay in found.values()} == {0.0, 0.5}


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop])
def test_every_optimizer_takes_them(optimizer):
    """A step is that of an optimizer for each group alone."""
    model, twin = Net(), Net()
    twin.load_state_dict(model.state_dict())
    groups = parameter_groups(model, 0.1, 0.5, {"blocks": 0.1}, decay_norms_and_biases=False)
    made = optimizer(groups)
    theirs = dict(twin.named_parameters())
    alone = [optimizer([theirs[name] for name, _ in group["params"]], group["lr"], weight_decay=group["weight_decay"])
             for group in groups]
    x = np.random.default_rng(0).standard_normal((4, 1, 5, 5)).astype(np.float32)
    for _ in range(3):
        for network, steppers in ((model, [made]), (twin, alone)):
            network.zero_grad()
            (network(Tensor(x)) ** 2).mean().backward()
            for stepper in steppers:
                stepper.step()
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, theirs[name].data, err_msg=name)


def test_one_cycle_keeps_the_proportions():
    groups = parameter_groups(Net(), 0.2, 0.0, {"stem": 0.1})
    made = optim.SGD(groups, momentum=0.9)
    schedule = optim.OneCycleLR(made, [group["lr"] for group in groups], 9)
    for _ in range(9):
        stem, rest = (group["lr"] for group in made.param_groups)
        assert stem == pytest.approx(0.1 * rest)
        schedule.step()


@pytest.mark.parametrize(("settings", "error", "message"), [
    ({"factors": {"block": 0.1}}, ValueError, "'block' is no part of Net with parameters; .* for example, blocks"),
    ({"factors": {"bloc": 0.1, "stem": 1}}, ValueError, "'bloc' is no part of Net"),
    ({"factors": {"": 0.1}}, ValueError, "'' is no part of Net"),
    ({"factors": {3: 0.1}}, ValueError, "3 is no part of Net"),
    ({"factors": {"stem": -1}}, ValueError, r"factors\['stem'\]=-1 must be a finite number of at least 0"),
    ({"factors": ["stem"]}, TypeError, r"factors=\['stem'\] must be a dictionary"),
    ({"lr": "0.1"}, ValueError, "parameter_groups: lr='0.1'"),
    ({"lr": -1}, ValueError, "parameter_groups: lr=-1"),
    ({"weight_decay": None}, ValueError, "parameter_groups: weight_decay=None"),
    ({"decay_norms_and_biases": "no"}, ValueError, "decay_norms_and_biases='no' must be True or False"),
    ({"model": [1]}, TypeError, "pass the model, not list"),
])
def test_bad_settings_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        parameter_groups(**{"model": Net(), "lr": 0.1, **settings})
