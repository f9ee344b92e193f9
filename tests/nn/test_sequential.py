"""Layers one after the other, and the ReLUs that are asked of the layer before them."""

import numpy as np
import pytest

import minidl.nn as nn
from minidl import Tensor
from minidl.testing import check_gradients

RNG = np.random.default_rng(0)


class Counting(nn.ReLU):
    """A ReLU of another class, which must be called."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class PlainConv(nn.Conv2d):
    """A convolution that cannot be asked for ReLU."""

    def forward(self, x):
        return super().forward(x)


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
    assert out.data.min() == 0                    # the others were computed all the same


def test_a_relu_is_asked_of_the_max_pooling_behind_it(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.MaxPool2d, "forward", lambda self, x, relu=False: asked.append(relu) or x)
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x, relu=False: asked.append(relu) or x)
    layers = nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Tanh(), nn.MaxPool2d(2)
    nn.Sequential(*layers)(Tensor(np.zeros((1, 1, 4, 4), np.float32)))
    assert asked == [False, True, True, False]


def test_which_relu6s_are_called(monkeypatch):
    called = []
    monkeypatch.setattr(nn.ReLU6, "forward", lambda self, x: called.append(self) or x)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU6(), loud_norm(2), nn.ReLU6(), nn.ReLU6())
    out = model(Tensor(RNG.standard_normal((4, 1, 3, 3)).astype(np.float32)))
    assert called == [model[1], model[4]]
    assert (out.data.min(), out.data.max()) == (0, 6)         # by the other one


def test_a_relu_of_another_class_is_called():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), Counting())
    model(Tensor(np.zeros((1, 1, 2, 2), np.float32)))
    assert model[1].calls == 1
