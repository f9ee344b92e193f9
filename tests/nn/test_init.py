"""Initial weights: their bounds and standard deviations against the formulas of the papers."""

import math

import numpy as np
import pytest

from minidl import manual_seed, nn
from minidl.nn import init

CONV, LINEAR = (40, 30, 3, 5), (200, 300)                # fan_in 450 and 300, fan_out 600 and 200


@pytest.mark.parametrize(("values", "bound"), [
    (lambda: init.kaiming_uniform(CONV), math.sqrt(6 / 450)),
    (lambda: init.kaiming_uniform(CONV, nonlinearity="relu", mode="fan_out"), math.sqrt(6 / 600)),
    (lambda: init.kaiming_uniform(LINEAR, a=2.0), math.sqrt(6 / (5 * 300))),
    (lambda: init.xavier_uniform(LINEAR), math.sqrt(6 / 500)),
    (lambda: init.xavier_uniform(CONV, gain=2.0), 2 * math.sqrt(6 / 1050)),
    (lambda: init.default_weight(CONV), 1 / math.sqrt(450)),
    (lambda: init.default_bias((4000, 25)), 1 / 5),
])
def test_uniform_values_fill_their_range(values, bound):
    manual_seed(1)
    array = values()
    assert array.dtype == np.float32
    assert abs(array).max() <= bound * 1.000001
    assert abs(array).max() > bound * 0.99
    assert array.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert abs(array.mean()) < bound * 0.03


@pytest.mark.parametrize(("values", "deviation"), [
    (lambda: init.kaiming_normal(CONV, nonlinearity="relu"), math.sqrt(2 / 450)),
    (lambda: init.kaiming_normal(CONV, mode="fan_out", nonlinearity="linear"), math.sqrt(1 / 600)),
    (lambda: init.xavier_normal(LINEAR, gain=5 / 3), 5 / 3 * math.sqrt(2 / 500)),
])
def test_normal_values_have_their_deviation(values, deviation):
    manual_seed(2)
    array = values()
    assert array.dtype == np.float32
    assert array.std() == pytest.approx(deviation, rel=0.03)
    assert abs(array).max() > 3 * deviation


def test_kaiming_keeps_the_signal_through_many_layers():
    manual_seed(3)
    x = np.random.default_rng(0).standard_normal((500, 200)).astype(np.float32)
    for _ in range(20):
        x = np.maximum(x @ init.kaiming_normal((200, 200), nonlinearity="relu").T, 0)
    assert 0.3 < (x**2).mean() < 3


def test_gains():
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == pytest.approx(math.sqrt(2))
    assert init.calculate_gain("leaky_relu", 0.5) == pytest.approx(math.sqrt(1.6))
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / 1.0001))


def test_placeholders_take_neither_memory_nor_random_numbers():
    manual_seed(1)
    expected = init.normal((3,), 1.0)
    manual_seed(1)
    with init.placeholders():
        layer = nn.Conv2d(10**5, 10**5, 3)
        layer.bias.data[...] = init.normal((10**5,), 1.0)
    assert layer.weight.shape == (10**5, 10**5, 3, 3)
    assert not any(layer.weight.data.strides)
    np.testing.assert_array_equal(init.normal((3,), 1.0), expected)


def test_gains_against_pytorch():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: init.kaiming_normal((3,)), r"at least two axes, .* \(3,\)"),
    (lambda: init.xavier_uniform((3, 0)), r"\(3, 0\)"),
    (lambda: init.kaiming_uniform((3, 3), mode="fan"), "mode='fan'"),
    (lambda: init.calculate_gain("gelu"), "nonlinearity='gelu'"),
])
def test_bad_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
