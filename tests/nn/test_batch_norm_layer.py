"""The running statistics of batch normalization: how batches update them, and their use in eval mode."""

import numpy as np
import pytest
import strict_array
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor
from minidl.testing import check_gradients
from minidl.testing.strategies import layouts, seeds


@given(n=st.integers(1, 3), c=st.integers(1, 3), size=st.tuples(st.integers(1, 3), st.integers(2, 4)),
       momentum=st.none() | st.floats(0, 1), layout=layouts, seed=seeds)
def test_running_statistics(n, c, size, momentum, layout, seed):
    rng, layer = np.random.default_rng(seed), nn.BatchNorm2d(c, momentum=momentum)
    means, variances = [0.0] * c, [1.0] * c
    for batch in range(1, 4):
        x = rng.standard_normal((n, c, *size)).astype(np.float32)
        layer(Tensor(layout(x)))
        part = 1 / batch if momentum is None else momentum
        for k in range(c):
            values = [float(v) for v in x[:, k].ravel()]
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
            means[k] = (1 - part) * means[k] + part * mean
            variances[k] = (1 - part) * variances[k] + part * variance
    np.testing.assert_allclose(layer.running_mean.data, means, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_var.data, variances, rtol=1e-4, atol=1e-5)
    assert layer.num_batches_tracked.item() == 3
    assert layer.running_mean.dtype == layer.running_var.dtype == np.float32
    assert layer.num_batches_tracked.data.shape == ()


def trained(ndim=4):
    """A layer in float64 that has seen a batch, and a batch."""
    rng = np.random.default_rng(5)
    layer = (nn.BatchNorm2d if ndim == 4 else nn.BatchNorm1d)(3).to(dtype=np.float64)
    layer.weight.data[...] = [0.5, -1.0, 2.0]
    layer.bias.data[...] = [0.1, 0.2, 0.3]
    x = rng.standard_normal((4, 3, 2, 5)[:ndim])
    layer(Tensor(x * 2 + 1))
    return layer, x


@pytest.mark.parametrize("ndim", [2, 4])
def test_in_eval_mode_the_running_statistics_are_used_and_do_not_change(ndim):
    layer, x = trained(ndim)
    layer.eval()
    before = layer.state_dict()
    each = (slice(None), *(None,) * (ndim - 2))
    expected = ((x - before["running_mean"][each]) / np.sqrt(before["running_var"] + 1e-5)[each]
                * before["weight"][each] + before["bias"][each])
    np.testing.assert_allclose(layer(Tensor(x)).data, expected)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("ndim", [2, 4])
def test_gradients(ndim, training):
    layer, x = trained(ndim)
    layer.train(training)
    weight, bias = layer.weight.data, layer.bias.data

    def function(x, weight, bias):
        layer.to(dtype=x.dtype)
        layer.weight, layer.bias = weight, bias
        return layer(x)

    check_gradients(function, x, weight, bias, float32=False)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("ndim", [2, 4])
def test_shortcut_and_relu_in_one_call(ndim, training):
    layer, x = trained(ndim)
    twin, _ = trained(ndim)
    layer.train(training), twin.train(training)
    shortcut = Tensor(x[::-1] * 3)
    for settings, apart in [
        ({"add": shortcut, "relu": True}, lambda out: F.relu(out + shortcut)),
        ({"add": shortcut}, lambda out: out + shortcut),
        ({"relu": True}, F.relu),
        ({"relu": True, "ceiling": 0.5}, lambda out: F.relu(out, ceiling=0.5)),
    ]:
        np.testing.assert_array_equal(layer(Tensor(x), **settings).data, apart(twin(Tensor(x))).data)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, twin.state_dict()[name])


def test_statistics_are_replaced_and_never_modified():
    layer, x = trained()
    mean, variance = layer.running_mean.data, layer.running_var.data
    copies = mean.copy(), variance.copy()
    layer(Tensor(x))
    np.testing.assert_array_equal((mean, variance), copies)
    assert layer.running_mean.data is not mean


def test_without_tracking_the_moments_of_the_batch_are_always_used():
    layer = nn.BatchNorm2d(2, track_running_stats=False)
    x = Tensor(np.random.default_rng(0).standard_normal((3, 2, 4, 4)).astype(np.float32))
    np.testing.assert_array_equal(layer(x).data, layer.eval()(x).data)
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert abs(layer(x).data.mean((0, 2, 3))).max() < 1e-6


def test_without_affine_there_is_nothing_to_train():
    assert nn.BatchNorm2d(2, affine=False).parameters() == []


def test_arrays_of_another_library():
    layer = nn.BatchNorm1d(2)
    for tensor in layer.parameters() + layer.buffers():
        tensor.data = strict_array.asarray(tensor.data)
    out = layer(Tensor(strict_array.asarray(np.array([[1, 2], [3, 6]], np.float32))))
    assert isinstance(out.data, strict_array.ndarray)
    np.testing.assert_allclose(layer.running_var.numpy(), [0.9 + 0.1 * 2, 0.9 + 0.1 * 8], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 1


def test_one_value_per_channel_is_refused_and_changes_nothing():
    layer = nn.BatchNorm2d(2)
    with pytest.raises(ValueError, match="at least two"):
        layer(Tensor(np.ones((1, 2, 1, 1), np.float32)))
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features=0"),
    (lambda: nn.BatchNorm1d(2, eps=0), "BatchNorm1d: eps=0"),
    (lambda: nn.BatchNorm2d(2, momentum=1.5), "momentum=1.5"),
    (lambda: nn.BatchNorm2d(2)(Tensor(np.ones((4, 2)))), r"BatchNorm2d: x must be \(N, 2, H, W\), not \(4, 2\)"),
    (lambda: nn.BatchNorm1d(2)(Tensor(np.ones((4, 3)))), r"BatchNorm1d: x must be \(N, 2\), not \(4, 3\)"),
])
def test_bad_settings_and_shapes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    for momentum in (0.1, 0.3, None):
        ours, theirs = nn.BatchNorm2d(3, momentum=momentum), torch.nn.BatchNorm2d(3, momentum=momentum)
        for _ in range(3):
            x = rng.standard_normal((4, 3, 5, 2)).astype(np.float32) * 3 + 1
            np.testing.assert_allclose(ours(Tensor(x)).data, theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-5)
        for name, array in ours.state_dict().items():
            np.testing.assert_allclose(array, theirs.state_dict()[name].numpy(), rtol=1e-5)
