"""Layers one after the other, and the activations that are fused into a neighbouring layer."""

from typing import ClassVar

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor
from minidl.nn.observe import observed
from minidl.nn.sequential import calls
from minidl.testing import check_gradients

RNG = np.random.default_rng(0)


class Counting(nn.ReLU):
    """A ReLU with a forward of its own, which must be called."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class PlainConv(nn.Conv2d):
    """A convolution whose forward takes no `relu`."""

    def forward(self, x):
        return super().forward(x)


class ClippingNorm(nn.BatchNorm2d):
    """A batch norm that declares one activation, as its own forward takes it."""

    fuses_after: ClassVar = {nn.ReLU6: {"clip": True}}

    def forward(self, x, clip=False):
        out = super().forward(x)
        return F.relu6(out) if clip else out


def loud_norm(channels):
    """A batch norm whose outputs reach beyond 6."""
    norm = nn.BatchNorm2d(channels)
    norm.weight.data[...] = 7
    return norm


def one_by_one(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@pytest.mark.parametrize("layers", [
    lambda: [nn.Conv2d(2, 3, 3), nn.ReLU()],
    lambda: [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)],
    lambda: [nn.ReLU(), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(1)],
    lambda: [nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.ReLU(), nn.Conv2d(3, 2, 1)],
    lambda: [nn.Flatten(), nn.Linear(72, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2), nn.ReLU()],
    lambda: [nn.Conv2d(2, 3, 3), loud_norm(3), nn.ReLU6(), nn.Conv2d(3, 2, 1), nn.ReLU6()],
    lambda: [PlainConv(2, 3, 3), nn.ReLU()],
    lambda: [ClippingNorm(2), nn.ReLU6(), nn.ReLU()],
    lambda: [nn.Conv2d(2, 3, 3), nn.LeakyReLU(), nn.Tanh()],
    list,
])
def test_it_computes_what_its_layers_do_one_by_one(layers):
    model, x = nn.Sequential(*layers()).to(dtype=np.float64), RNG.standard_normal((3, 2, 6, 6))
    np.testing.assert_allclose(model(Tensor(x)).data, one_by_one(model, Tensor(x)).data, rtol=1e-12, atol=1e-12)
    check_gradients(model, x, float32=False)


def test_which_relus_are_called(monkeypatch):
    called = []
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: called.append(self) or x)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.ReLU(), nn.BatchNorm2d(2), nn.ReLU(), nn.Tanh(), nn.ReLU())
    out = model(Tensor(RNG.standard_normal((4, 1, 3, 3)).astype(np.float32)))
    assert called == [model[2], model[6]]
    assert out.data.min() == 0                    # the others were computed by their neighbours


def test_a_max_pooling_rectifies_for_the_relu_before_it(monkeypatch):
    requested = []
    monkeypatch.setattr(nn.MaxPool2d, "forward", lambda self, x, relu=False: requested.append(relu) or x)
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x, relu=False: requested.append(relu) or x)
    layers = nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Tanh(), nn.MaxPool2d(2)
    nn.Sequential(*layers)(Tensor(np.zeros((1, 1, 4, 4), np.float32)))
    assert requested == [False, True, True, False]


def test_which_relu6s_are_called(monkeypatch):
    called = []
    monkeypatch.setattr(nn.ReLU6, "forward", lambda self, x: called.append(self) or x)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU6(), loud_norm(2), nn.ReLU6(), nn.ReLU6())
    out = model(Tensor(RNG.standard_normal((4, 1, 3, 3)).astype(np.float32)))
    assert called == [model[1], model[4]]
    assert (out.data.min(), out.data.max()) == (0, 6)         # by the norm


def test_a_relu_of_a_subclass_is_called():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), Counting())
    model(Tensor(np.zeros((1, 1, 2, 2), np.float32)))
    assert model[1].calls == 1


class Renamed(nn.Conv2d):
    """A convolution of another name, with the same forward."""


class Called(nn.Conv2d):
    """A convolution whose call takes no settings."""

    def __call__(self, x):
        return super().__call__(x)


class Mixed(PlainConv, Renamed):
    """The forward of one base, the declaration of the other."""


@pytest.mark.parametrize(("layer", "fused"), [
    (nn.Conv2d(2, 3, 1), True), (Renamed(2, 3, 1), True), (nn.Linear(3, 3), True), (nn.BatchNorm2d(2), True),
    (PlainConv(2, 3, 1), False), (Called(2, 3, 1), False), (Mixed(2, 3, 1), False), (nn.GroupNorm(1, 2), False),
], ids=lambda value: type(value).__name__)
def test_a_declaration_holds_for_the_forward_of_its_class(layer, fused):
    relu = nn.ReLU()
    assert [layer for layer, _ in calls([layer, relu])] == ([layer] if fused else [layer, relu])


def test_a_subclass_with_a_forward_of_its_own_may_declare():
    norm, relu, relu6 = ClippingNorm(2), nn.ReLU(), nn.ReLU6()
    assert calls([norm, relu6]) == [(norm, {"clip": True})]
    assert calls([norm, relu]) == [(norm, {}), (relu, {})]


@pytest.mark.parametrize("hooked", [0, 1])
@pytest.mark.parametrize("layers", [
    lambda: [nn.Conv2d(1, 2, 1), nn.ReLU()],
    lambda: [nn.ReLU(), nn.MaxPool2d(1)],
    lambda: [nn.BatchNorm2d(1), nn.ReLU6()],
])
def test_a_layer_with_a_hook_is_called_and_gives_its_own_output(layers, hooked):
    model, seen = nn.Sequential(*layers()).eval(), []
    x = Tensor(RNG.standard_normal((2, 1, 3, 3)).astype(np.float32))
    out = model(x).data
    with model[hooked].register_forward_hook(lambda module, args, out: seen.append((args[0], out))):
        np.testing.assert_array_equal(model(x).data, out)
        assert len(calls(list(model))) == 2
    (given, result), = seen
    np.testing.assert_array_equal(given.data, x.data if hooked == 0 else model[0](x).data)
    np.testing.assert_array_equal(result.data, model[hooked](given).data)
    assert len(calls(list(model))) == 1


def test_a_forward_assigned_to_one_layer_is_called():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    model[0].forward = lambda x: x - 1
    model[1].forward = lambda x: x * 2
    assert model(Tensor(np.zeros((1, 1, 1, 1), np.float32))).item() == -2


def test_an_observer_sees_the_calls_that_are_made():
    model, seen = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()), []
    with observed(model, lambda name, module, inputs, settings, out: seen.append((name, settings))):
        model(Tensor(np.zeros((1, 1, 1, 1), np.float32)))
    assert seen == [("0", {"relu": True}), ("", {})]
    assert not model[0].forward_hooks


def test_a_slice_is_a_network_of_the_same_layers():
    """As in PyTorch, the layers keep their names."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    part = model[1:]
    assert list(part.state_dict()) == ["2.weight", "2.bias"]
    assert part[1] is model[2]
    x = Tensor(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(part(model[:1](x)).numpy(), model(x).numpy())
    assert len(model[5:]) == 0


def test_an_error_says_in_which_layer_it_is():
    inner = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    model = nn.Sequential({"conv": nn.Conv2d(1, 2, 1), "head": inner})
    with pytest.raises(ValueError, match="linear: ") as caught:
        model(Tensor(RNG.standard_normal((2, 1, 3, 3), dtype=np.float32)))
    assert caught.value.__notes__ == [f"in layer 1 of a Sequential: {inner[1]!r}",
                                      f"in layer head of a Sequential: {inner!r}"]
