"""Initial weights: their bounds and standard deviations against the formulas of the papers."""

import math

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, manual_seed, nn
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
    (lambda: init.dirac((3, 3)), r"dirac needs the shape of a convolution, .* \(3, 3\)"),
    (lambda: init.dirac((3, 3, 1, 1), groups=2), "groups=2"),
    (lambda: init.whitening(np.ones((2, 3, 4, 1)), 2), r"at least 2 x 2 pixels, not \(2, 3, 4, 1\)"),
    (lambda: init.whitening(np.ones((0, 3, 4, 4)), 2), r"not \(0, 3, 4, 4\)"),
    (lambda: init.whitening(np.ones((2, 3, 4, 4)), 0), "kernel_size=0"),
    (lambda: init.whitening(np.zeros((2, 1, 4, 4)), 2, eps=0), "a component of patches that is always 0"),
])
def test_bad_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("shape", "groups"), [((4, 3, 3, 3), 1), ((2, 5, 3, 3), 1), ((6, 2, 5, 3), 2), ((3, 3, 1), 1)])
def test_dirac_against_pytorch(shape, groups):
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(init.dirac(shape, groups), torch.nn.init.dirac_(torch.empty(shape), groups).numpy())


def test_dirac_is_the_identity():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    out = F.conv2d(x, init.dirac((4, 3, 3, 3)), None, padding=1).data
    np.testing.assert_array_equal(out[:, :3], x)
    assert not out[:, 3].any()
    with init.placeholders():
        assert not any(init.dirac((10**5, 10**5, 3, 3)).strides)


@pytest.mark.parametrize("kernel_size", [2, (1, 3)])
def test_whitened_patches_are_uncorrelated(kernel_size):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((210, 2, 6, 6)).cumsum(3).astype(np.float32)      # neighbours are correlated
    filters = init.whitening(images, kernel_size, eps=0)
    size = len(filters) // 2
    assert filters.dtype == np.float32
    assert filters.shape[1:] == (2, *np.broadcast_to(kernel_size, 2))
    assert size == 2 * np.prod(filters.shape[2:])
    np.testing.assert_array_equal(filters[size:], -filters[:size])
    responses = F.conv2d(images, filters[:size], None).data.transpose(1, 0, 2, 3).reshape(size, -1)
    np.testing.assert_allclose(responses @ responses.T / responses.shape[1], np.eye(size), atol=1e-3)


def test_whitening_amplifies_no_component_that_hardly_occurs():
    images = np.ones((3, 1, 4, 4), np.float32)                                     # one component only
    filters = init.whitening(images, 2, eps=0.01)
    assert abs(filters).max() <= 1 / 0.1
    np.testing.assert_allclose(filters[0], 0.5 / np.sqrt(4.01), rtol=1e-5)


def test_he_keeps_the_signal_of_a_network_without_norms():
    """PyTorch's initial weights let it shrink in every layer; norms keep their scales."""
    layers = [layer for _ in range(8) for layer in (nn.Linear(200, 200), nn.ReLU())]
    model = nn.Sequential(*layers, nn.BatchNorm1d(200), nn.Linear(200, 50))
    x = Tensor(np.random.default_rng(0).standard_normal((100, 200), dtype=np.float32))
    before = model[:15](x).numpy().std()
    assert init.he(model, last=["17"]) is model
    after = model[:15](x).numpy().std()
    assert before < 0.1 < 0.7 < after < 3
    assert not any(layer.bias.data.any() for layer in model if hasattr(layer, "bias"))
    assert abs(model[17].weight.data.std() - 0.01) < 1e-3
    assert (model[16].weight.data == 1).all()
