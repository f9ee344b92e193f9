"""Each layer has the right parameters and passes its settings on; the functions have tests of their own."""

import numpy as np
import pytest
import reference
from hypothesis import given

import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor, manual_seed
from minidl.nn.layers import outputs_last
from minidl.testing.strategies import convolutions, distinct_values, poolings, seeds, shapes


@given(case=convolutions(), seed=seeds)
def test_conv2d_passes_on_every_setting(case, seed):
    x, = distinct_values(case.x, seed=seed, dtype=np.float32)
    layer = nn.Conv2d(case.x[1], case.weight[0], case.weight[2:], **case.settings)
    assert layer.weight.shape == case.weight
    expected = reference.conv2d(x, layer.weight.data, layer.bias.data, **case.settings)
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-4, atol=1e-5)


@given(case=poolings(), seed=seeds)
def test_pooling_passes_on_every_setting(case, seed):
    x, = distinct_values(case.x, seed=seed, dtype=np.float32)
    np.testing.assert_array_equal(nn.MaxPool2d(**case.settings)(Tensor(x)).data,
                                  reference.max_pool2d(x, **case.settings)[0])
    np.testing.assert_allclose(nn.AvgPool2d(**case.settings)(Tensor(x)).data,
                               reference.avg_pool2d(x, **case.settings), rtol=1e-4, atol=1e-5)


@given(shape=shapes(min_dims=2, max_dims=2), seed=seeds)
def test_linear(shape, seed):
    x, = distinct_values((3, shape[1]), seed=seed, dtype=np.float32)
    layer = nn.Linear(shape[1], shape[0])
    assert layer.weight.shape == shape
    expected = [[sum(a * b for a, b in zip(row, w, strict=True)) + c
                 for w, c in zip(layer.weight.data, layer.bias.data, strict=True)] for row in x]
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("layer", "function"), [
    (nn.ReLU(), F.relu),
    (nn.LeakyReLU(0.3), lambda x: F.leaky_relu(x, negative_slope=0.3)),
    (nn.ReLU6(), F.relu6),
    (nn.ELU(0.3), lambda x: F.elu(x, alpha=0.3)),
    (nn.GELU(), F.gelu),
    (nn.GELU(approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
    (nn.SiLU(), F.silu),
    (nn.Hardswish(), F.hardswish),
    (nn.Softplus(2, 0.5), lambda x: F.softplus(x, beta=2, threshold=0.5)),
    (nn.Sigmoid(), F.sigmoid),
    (nn.Tanh(), F.tanh),
    (nn.Softmax(1), lambda x: F.softmax(x, axis=1)),
    (nn.Flatten(), lambda x: F.flatten(x, 1)),
    (nn.Flatten(2, 3), lambda x: F.flatten(x, 2, 3)),
    (nn.AdaptiveAvgPool2d((2, None)), lambda x: F.adaptive_avg_pool2d(x, (2, None))),
    (nn.Upsample((7, 3)), lambda x: F.interpolate(x, (7, 3))),
    (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
     lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)),
    (nn.Identity(), lambda x: x),
], ids=lambda value: repr(value) if isinstance(value, nn.Module) else "function")
def test_layers_without_parameters(layer, function):
    x = Tensor(10 * distinct_values((2, 3, 4, 5), seed=0)[0])
    np.testing.assert_array_equal(layer(x).data, function(x).data)
    assert layer.state_dict() == {}


def test_dropout_drops_in_training_only():
    layer, x = nn.Dropout(0.4), Tensor(np.ones(10_000, np.float32))
    kept = layer(x).data
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.6)}
    assert abs((kept == 0).mean() - 0.4) < 0.03
    np.testing.assert_array_equal(layer.eval()(x).data, x.data)


def test_dropout2d_drops_channels_in_training_only():
    layer, x = nn.Dropout2d(0.4), Tensor(np.ones((100, 100, 2, 1), np.float32))
    kept = layer(x).data
    np.testing.assert_array_equal(kept[:, :, 0], kept[:, :, 1])
    assert abs((kept == 0).mean() - 0.4) < 0.03
    np.testing.assert_array_equal(layer.eval()(x).data, x.data)


@pytest.mark.parametrize(("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge")])
@pytest.mark.parametrize("padding", [(1, 2), "same"])
def test_conv2d_with_copied_borders(mode, numpys, padding):
    x, = distinct_values((2, 3, 5, 6), seed=0, dtype=np.float32)
    layer = nn.Conv2d(3, 4, (3, 2), padding=padding, dilation=(1, 3), padding_mode=mode)
    around = ((1, 1), (1, 2)) if padding == "same" else ((1, 1), (2, 2))
    wide = np.pad(x, ((0, 0), (0, 0), *around), mode=numpys)
    expected = reference.conv2d(wide, layer.weight.data, layer.bias.data, dilation=(1, 3))
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer(Tensor(x), relu=True).data, np.maximum(layer(Tensor(x)).data, 0))
    assert f"padding_mode='{mode}'" in repr(layer)
    with pytest.raises(ValueError, match=r"^Conv2d: x must be images"):
        layer(Tensor(x[0]))


@pytest.mark.parametrize(("layer", "shape"), [
    (nn.ConvTranspose2d(6, 4, 3, groups=2), (2, 6, 5, 6)),
    (nn.Conv2d(3, 4, (2, 5)), (2, 3, 6, 6)),
    (nn.Conv2d(6, 4, 3, groups=2), (2, 6, 5, 6)),
    (nn.Linear(3, 4), (2, 3)),
], ids=repr)
def test_weights_are_stored_outputs_last_with_the_same_results(layer, shape):
    weight = layer.weight.data
    assert weight.transpose(*range(2, weight.ndim), 1, 0).flags.c_contiguous
    x = Tensor(*distinct_values(shape, seed=1, dtype=np.float32))
    out = layer(x).data
    layer.weight.data = np.ascontiguousarray(weight)
    np.testing.assert_allclose(layer(x).data, out, rtol=1e-5, atol=1e-6)


@given(shape=shapes(min_dims=2, max_dims=4), seed=seeds)
def test_outputs_last_keeps_every_element(shape, seed):
    weight, = distinct_values(shape, seed=seed)
    np.testing.assert_array_equal(outputs_last(weight), weight)


def test_the_seed_determines_the_weights():
    def made(seed):
        manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(4, 5)).state_dict()

    for name, array in made(7).items():
        np.testing.assert_array_equal(array, made(7)[name])
        assert (array != made(8)[name]).any()
        assert array.dtype == np.float32


def test_weights_are_drawn_as_pytorch_draws_them():
    layer = nn.Conv2d(8, 200, 5)
    bound = 1 / np.sqrt(8 * 25)
    for values in (layer.weight.data, layer.bias.data):
        assert np.abs(values).max() <= bound
    assert layer.weight.data.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_transposed_weights_are_drawn_as_pytorch_draws_them():
    """Its fan-in is counted along the second axis of the weight, which holds the outputs."""
    layer = nn.ConvTranspose2d(20, 400, (3, 2), groups=2)
    bound = 1 / np.sqrt(200 * 6)
    assert layer.weight.shape == (20, 200, 3, 2)
    assert layer.bias.shape == (400,)
    for values in (layer.weight.data, layer.bias.data):
        assert np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Conv2d(0, 1, 1), "Conv2d: in_channels=0"),
    (lambda: nn.Conv2d(1, 2.0, 1), "Conv2d: out_channels=2.0"),
    (lambda: nn.Conv2d(4, 2, 1, groups=3), "groups=3 must divide in_channels=4 and out_channels=2"),
    (lambda: nn.Conv2d(1, 1, 0), "kernel_size=0"),
    (lambda: nn.Conv2d(1, 1, 1, stride=0), "stride=0"),
    (lambda: nn.Conv2d(1, 1, 1, padding="half"), "padding='half'"),
    (lambda: nn.Conv2d(1, 1, 1, dilation=(1, 1, 1)), r"dilation=\(1, 1, 1\)"),
    (lambda: nn.Conv2d(1, 1, 1, padding_mode="circular"), "padding_mode='circular' is none of"),
    (lambda: nn.ConvTranspose2d(0, 1, 1), "ConvTranspose2d: in_channels=0"),
    (lambda: nn.ConvTranspose2d(4, 2, 1, groups=3), "ConvTranspose2d: groups=3 must divide in_channels=4"),
    (lambda: nn.ConvTranspose2d(1, 1, 2, 2, output_padding=2), "ConvTranspose2d: output_padding=2 must be smaller"),
    (lambda: nn.ConvTranspose2d(1, 1, 2, padding="same"), "ConvTranspose2d: padding='same'"),
    (lambda: nn.Dropout2d(2), "Dropout2d: p=2"),
    (lambda: nn.Linear(-1, 1), "Linear: in_features=-1"),
    (lambda: nn.Linear(1, "3"), "Linear: out_features='3'"),
    (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size=0"),
    (lambda: nn.AvgPool2d(2, padding=-1), "AvgPool2d: padding=-1"),
    (lambda: nn.LayerNorm((3, 0)), "LayerNorm: normalized_shape=0"),
    (lambda: nn.GroupNorm(3, 4), "GroupNorm: num_groups=3 must divide num_channels=4"),
    (lambda: nn.GroupNorm(2, 4)(Tensor(np.ones((1, 6)))), r"GroupNorm: x must be \(N, 4, ...\), not \(1, 6\)"),
    (lambda: nn.LocalResponseNorm(2.5), "LocalResponseNorm: size=2.5"),
    (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d: dilation=0"),
    (lambda: nn.MaxPool2d(2, return_indices=True), "MaxPool2d: return_indices is not supported"),
    (lambda: nn.AdaptiveMaxPool2d(2, return_indices=True), "AdaptiveMaxPool2d: return_indices is not supported"),
    (lambda: nn.Dropout(1.5), "Dropout: p=1.5"),
    (lambda: nn.Dropout(-0.1), "Dropout: p=-0.1"),
])
def test_bad_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("name", "positional", "settings", "shape"), [
    ("Conv2d", (4, 6, (3, 2)), {"stride": 2, "padding": (1, 0), "groups": 2}, (2, 4, 7, 6)),
    ("Conv2d", (1, 2, 3, 1, "same", 2), {"bias": False}, (1, 1, 5, 4)),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "stride": 2, "padding_mode": "reflect"}, (2, 2, 6, 5)),
    ("Conv2d", (2, 3, (3, 2)), {"padding": "same", "padding_mode": "replicate"}, (2, 2, 6, 5)),
    ("ConvTranspose2d", (4, 6, (3, 2), 2, 1, 1, 2, True, (2, 1)), {}, (2, 4, 5, 3)),
    ("ConvTranspose2d", (3, 2, 2), {"stride": 2, "bias": False}, (2, 3, 4, 5)),
    ("Upsample", (None, 2, "bilinear"), {}, (2, 3, 4, 5)),
    ("Upsample", ((3, 7),), {}, (2, 3, 4, 5)),
    ("ReLU6", (), {}, (3, 4)),
    ("ELU", (0.7,), {}, (3, 4)),
    ("GELU", (), {}, (3, 4)),
    ("GELU", (), {"approximate": "tanh"}, (3, 4)),
    ("SiLU", (), {}, (3, 4)),
    ("Hardswish", (), {}, (3, 4)),
    ("Softplus", (2, 0.5), {}, (3, 4)),
    ("Linear", (3, 5), {}, (4, 3)),
    ("MaxPool2d", (3, 2, 1), {}, (2, 3, 7, 8)),
    ("AvgPool2d", (3, 2, 1), {}, (2, 3, 7, 8)),
    ("MaxPool2d", (3, 2, 1, 2), {"ceil_mode": True}, (2, 3, 7, 8)),
    ("AvgPool2d", (3, 2, 1, True, False), {}, (2, 3, 7, 8)),
    ("AvgPool2d", (3,), {"divisor_override": 5}, (2, 3, 7, 8)),
    ("AdaptiveAvgPool2d", (3,), {}, (2, 3, 7, 8)),
    ("AdaptiveMaxPool2d", ((3, None),), {}, (2, 3, 7, 8)),
    ("LeakyReLU", (), {}, (3, 4)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Softmax", (1,), {}, (3, 4)),
    ("BatchNorm2d", (3,), {}, (2, 3, 4, 4)),
    ("BatchNorm1d", (3,), {"affine": False}, (5, 3)),
    ("LayerNorm", (5,), {}, (2, 3, 4, 5)),
    ("LayerNorm", ([4, 5],), {"bias": False, "eps": 0.1}, (2, 3, 4, 5)),
    ("LayerNorm", ((3, 4, 5),), {"elementwise_affine": False}, (2, 3, 4, 5)),
    ("GroupNorm", (3, 6), {"eps": 0.1}, (2, 6, 4, 5)),
    ("GroupNorm", (1, 6), {"affine": False}, (2, 6)),
    ("LocalResponseNorm", (5,), {}, (2, 7, 3, 4)),
    ("LocalResponseNorm", (4, 2.0, 0.6, 0.5), {}, (2, 7, 3, 4)),
])
def test_against_pytorch(name, positional, settings, shape):
    torch = pytest.importorskip("torch")
    ours, theirs = (getattr(library, name)(*positional, **settings) for library in (nn, torch.nn))
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    x, = distinct_values(shape, seed=3, dtype=np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(Tensor(x)).data, expected, rtol=1e-4, atol=1e-5)
