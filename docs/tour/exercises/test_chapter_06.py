"""How far you are with the exercises of chapter 6."""

import math
from functools import partial

import numpy as np
import pytest

import minidl
import minidl.functional as F
from minidl import Tensor, nn, optim


class Layer(nn.Module):
    """A dense layer with an activation, with weights that are far too large or too small."""

    def __init__(self, inputs, outputs, deviation, activation):
        self.weight = nn.Parameter(nn.init.normal((outputs, inputs), deviation))
        self.bias = nn.Parameter(nn.init.normal((outputs,), 0.3))
        self.activation = activation

    def forward(self, x):
        return self.activation(F.linear(x, self.weight, self.bias))


@pytest.mark.parametrize("activation", [F.relu, partial(F.leaky_relu, negative_slope=0.3)])
def test_scale_to_unit(exercise, activation):
    minidl.manual_seed(0)
    layers = [Layer(30, 40, 0.001, activation), Layer(40, 50, 7.0, activation), Layer(50, 20, 0.2, activation)]
    arrays = [layer.weight.data for layer in layers]
    x = Tensor(nn.init.normal((200, 30), 1.0))
    exercise.scale_to_unit(layers, x)
    assert all(layer.weight.data is array for layer, array in zip(layers, arrays, strict=True))
    for layer in layers:
        x = layer(x)
        assert x.data.std() == pytest.approx(1, abs=0.02)


def test_lion_takes_the_steps_of_the_paper(exercise):
    x, m, rng = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.random.default_rng(0)
    parameter = nn.Parameter(x.copy())
    optimizer = exercise.Lion([parameter], lr=0.1, betas=(0.8, 0.95), weight_decay=0.01)
    for _ in range(5):
        g = rng.standard_normal(3)
        parameter.grad = g
        optimizer.step()
        x, m = x - 0.1 * (np.sign(0.8 * m + 0.2 * g) + 0.01 * x), 0.95 * m + 0.05 * g
        np.testing.assert_allclose(parameter.data, x)


def test_lion_trains_and_leaves_parameters_without_gradient(exercise):
    minidl.manual_seed(0)
    x = Tensor(np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32))
    target = (x.data[:, :1] > 0).astype(np.float32)
    model, unused = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1)), nn.Parameter(np.ones(2, np.float32))
    optimizer, losses = exercise.Lion([*model.parameters(), unused], lr=0.01, weight_decay=0.1), []
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    np.testing.assert_array_equal(unused.data, [1, 1])
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_trapezoid(exercise):
    factors = [exercise.trapezoid(step, warmup=4, cooldown=5, total=12) for step in range(12)]
    np.testing.assert_allclose(factors, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert exercise.trapezoid(0, warmup=0, cooldown=0, total=3) == 1


def test_trapezoid_as_a_schedule(exercise):
    optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=0.5)
    schedule = optim.LambdaLR(optimizer, lambda t: exercise.trapezoid(t, warmup=2, cooldown=3, total=6))
    rates = []
    for _ in range(6):
        rates.append(optimizer.lr)
        schedule.step()
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.5, 0.5, 0.5 * 2 / 3, 0.5 / 3])
    assert math.isfinite(optimizer.lr)
